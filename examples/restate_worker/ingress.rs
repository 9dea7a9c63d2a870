//! Restate's ingress.

use crate::company::Failure;

/// Asks Restate's ingress.
pub(crate) async fn ask(
    client: &reqwest::Client,
    url: &str,
    body: Option<&impl serde::Serialize>,
) -> Result<Vec<u8>, Failure> {
    let mut request = client.post(url);
    if let Some(body) = body {
        let json = serde_json::to_vec(body)?;
        request = request.header("content-type", "application/json").body(json);
    }
    let answer = request.send().await?;
    let (status, said) = (answer.status(), answer.bytes().await?);
    if status.is_success() {
        return Ok(said.to_vec());
    }
    Err(format!("{url}: {status}: {}", String::from_utf8_lossy(&said)).into())
}
