//! A company's lifecycle runs on Restate: any number of workers, one server that remembers.
//!
//! ```sh
//! scripts/restate.sh start /tmp/jml-restate             # prints the server's two addresses: ingress, admin
//! cargo run -p jml-examples --example restate_worker -- serve /tmp/jml-target 9080 200    # in two terminals,
//! cargo run -p jml-examples --example restate_worker -- serve /tmp/jml-target 9081 200    # on two ports
//! curl -s $admin/deployments --json '{ "uri": "http://127.0.0.1:9080" }'
//! curl -s $ingress/Planner/company/look --json '{ "cause": "first look" }'
//! cargo run -p jml-examples --example restate_worker -- approve /tmp/jml-target $ingress 200
//! scripts/restate.sh stop /tmp/jml-restate
//! ```
//!
//! One address is one deployment for Restate; put a load balancer (or one listening port, as the test does) before
//! workers on several machines. Kill a worker with `kill -9` in the middle: another one goes on with its runs, and
//! nothing is done twice.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

#[path = "../workers/company.rs"]
mod company;
mod ingress;
mod worker;

use std::path::Path;

use company::Failure;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["serve", folder, port, people] => {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
                println!("serving on http://{}", listener.local_addr()?);
                let folder = Path::new(folder);
                std::fs::create_dir_all(folder)?;
                worker::serve(listener, folder, people.parse()?).await
            }
            ["approve", folder, ingress, people] => {
                let folder = Path::new(folder);
                let approved = worker::approve(folder, ingress, people.parse()?).await?;
                println!("{approved} runs approved");
                Ok(())
            }
            _ => Err(
                "usage: restate_worker (serve FOLDER PORT PEOPLE | approve FOLDER INGRESS PEOPLE)"
                    .into(),
            ),
        }
    })
}
