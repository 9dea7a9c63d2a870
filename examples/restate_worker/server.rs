//! A Restate server of the test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

use crate::ingress::ask;

/// A server that was started for this test; it is stopped when this is dropped.
pub(crate) struct Server {
    folder: PathBuf,
    ingress: String,
    admin: String,
    client: reqwest::Client,
}

impl Server {
    /// A server that remembers nothing, if the environment names a folder for one.
    pub(crate) fn fresh() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("JML_RESTATE")?);
        script("stop", &folder);
        let _ = std::fs::remove_dir_all(folder.join("data"));
        let (ingress, admin) = start(&folder);
        Some(Self { folder, ingress, admin, client: reqwest::Client::new() })
    }

    pub(crate) fn ingress(&self) -> &str {
        &self.ingress
    }

    /// Stops it and starts it again on what it has stored.
    pub(crate) fn restart(&mut self) {
        script("stop", &self.folder);
        (self.ingress, self.admin) = start(&self.folder);
    }

    /// From now on, new invocations go to workers on this port.
    pub(crate) async fn register(&self, port: u16) {
        let url = format!("{}/deployments", self.admin);
        let what = json!({ "uri": format!("http://127.0.0.1:{port}"), "force": true });
        for _ in 0..100 {
            if ask(&self.client, &url, Some(&what)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no worker answers on port {port}");
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Value {
        let url = format!("{}/{path}", self.ingress);
        let said = ask(&self.client, &url, Some(body)).await.unwrap();
        if said.is_empty() { Value::Null } else { serde_json::from_slice(&said).unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script("stop", &self.folder);
    }
}

fn start(folder: &Path) -> (String, String) {
    let said = script("start", folder);
    let (ingress, admin) = said.trim().split_once(' ').unwrap();
    (ingress.to_owned(), admin.to_owned())
}

fn script(verb: &str, folder: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/restate.sh");
    let done = Command::new(script).arg(verb).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A port that nobody has now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A port that several processes listen on: what a load balancer is elsewhere.
pub(crate) fn shared(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    socket.listen(256)
}
