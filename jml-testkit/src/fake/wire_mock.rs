//! The front behind `wiremock`: for whoever has tests there already.

use super::{Fake, FakeApi, respond};

/// Answers for a `wiremock::MockServer`:
/// `Mock::given(any()).respond_with(fake.responder()).mount(&server)`. A fault that `wiremock` cannot
/// show (a cut connection) is answered with 599.
#[derive(Debug)]
pub struct Responder<A>(Fake<A>);

impl<A: FakeApi> Fake<A> {
    /// A responder for `wiremock`.
    #[must_use]
    pub fn responder(&self) -> Responder<A> {
        Responder(self.clone())
    }
}

impl<A: FakeApi> wiremock::Respond for Responder<A> {
    fn respond(&self, request: &wiremock::Request) -> wiremock::ResponseTemplate {
        let mut asked = http::Request::new(request.body.clone());
        *asked.method_mut() = request.method.clone();
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("{}{query}", request.url.path()).parse() {
            *asked.uri_mut() = uri;
        }
        *asked.headers_mut() = request.headers.clone();
        let answer = self.0.answer(&asked);
        let answer =
            answer.unwrap_or_else(|_| respond(599, "text/plain", "the connection was cut"));
        let mut template = wiremock::ResponseTemplate::new(answer.status().as_u16());
        for (name, value) in answer.headers() {
            template = template.insert_header(name, value);
        }
        template.set_body_bytes(answer.body().clone())
    }
}
