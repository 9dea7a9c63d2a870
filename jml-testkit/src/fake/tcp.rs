//! The front on a real socket: HTTP/1.1, one request per connection, no library between fault and wire.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Fake, FakeApi, Fate, Hits, Quirk, Recorded, Request, Response, Wire, WireFault};

/// A fake that listens on loopback. It stops when it is dropped.
pub struct Server<A: FakeApi> {
    fake: Fake<A>,
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<thread::JoinHandle<()>>>,
}

impl<A: FakeApi> std::fmt::Debug for Server<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    active: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl<A: FakeApi> Fake<A> {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub fn serve(&self) -> io::Result<Server<A>> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (fake, seen) = (self.clone(), shared.clone());
        let listening = thread::Builder::new().name("fake".into()).spawn(move || {
            for stream in listener.incoming() {
                if seen.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (fake, seen) = (fake.clone(), seen.clone());
                seen.active.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    // What a broken connection did is the caller's affair.
                    let _ = converse(&fake, &seen, stream);
                    seen.active.fetch_sub(1, Ordering::SeqCst);
                });
            }
        })?;
        let listening = Mutex::new(Some(listening));
        Ok(Server { fake: self.clone(), address, shared, listening })
    }
}

impl<A: FakeApi> Server<A> {
    /// The base URL: `http://127.0.0.1:...`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The fake behind it.
    #[must_use]
    pub const fn fake(&self) -> &Fake<A> {
        &self.fake
    }

    fn close(&self) {
        if !self.shared.stopped.swap(true, Ordering::SeqCst) {
            // Wakes the listener, so that it sees that it is stopped.
            let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
            // From here on, nobody listens: a connection that is tried now is refused.
            let thread = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = thread.join();
            }
            let open = std::mem::take(
                &mut *self.shared.open.lock().unwrap_or_else(PoisonError::into_inner),
            );
            for stream in open {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl<A: FakeApi> Drop for Server<A> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<A: FakeApi> Wire for Server<A> {
    fn inject(&self, hits: Hits, times: u32, fault: WireFault) {
        self.fake.inject(hits, times, fault);
    }
    fn calm(&self) {
        self.fake.calm();
    }
    fn fired(&self) -> u32 {
        self.fake.fired()
    }
    fn requests(&self) -> Vec<Recorded> {
        self.fake.requests()
    }
    fn active(&self) -> Option<usize> {
        Some(self.shared.active.load(Ordering::SeqCst))
    }
    fn stop(&self) {
        self.close();
    }
    fn quirk(&self, quirk: Quirk) -> bool {
        self.fake.with(|api| api.quirk(quirk))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 || head.len() > 64 << 10 {
            return Err(bad("no whole head"));
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&head).map_err(|e| bad(&e.to_string()))?;
    let mut request = http::Request::builder()
        .method(parsed.method.unwrap_or_default())
        .uri(parsed.path.unwrap_or_default());
    let mut length = 0_u64;
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = String::from_utf8_lossy(header.value);
            length = text.trim().parse().map_err(|_| bad("no length"))?;
        }
        request = request.header(header.name, header.value);
    }
    let mut body = Vec::new();
    reader.take(length.min(64 << 20)).read_to_end(&mut body)?;
    request.body(body).map_err(|e| bad(&e.to_string()))
}

fn head(response: &Response, length: usize) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or("");
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(
        format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    head
}

fn converse<A: FakeApi>(fake: &Fake<A>, shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = read_request(&stream)?;
    match fake.decide(&request) {
        Fate::Answer(response) => {
            let mut bytes = head(&response, response.body().len());
            bytes.extend_from_slice(response.body());
            stream.write_all(&bytes)?;
        }
        Fate::Truncate(response) => {
            // Says more than it sends, also where there is nothing to send.
            let body = response.body();
            let mut bytes = head(&response, body.len() + 10);
            bytes.extend_from_slice(body.get(..body.len() / 2).unwrap_or_default());
            stream.write_all(&bytes)?;
        }
        Fate::Reset => {}
        Fate::Hang => {
            if let Ok(twin) = stream.try_clone() {
                shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(twin);
            }
            // Until the caller goes away, or the server stops.
            let mut rest = [0_u8; 64];
            while !matches!(stream.read(&mut rest), Ok(0) | Err(_)) {}
        }
    }
    stream.shutdown(Shutdown::Both)
}
