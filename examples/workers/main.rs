//! Several drivers on one journal store, in as many processes as you like.
//!
//! ```sh
//! url=$(scripts/postgres.sh start /tmp/jml-postgres 5499)
//! cargo run -p jml-examples --example workers -- "$url" /tmp/jml-target plan 200
//! cargo run -p jml-examples --example workers -- "$url" /tmp/jml-target work    # in two terminals
//! scripts/postgres.sh stop /tmp/jml-postgres
//! ```
//!
//! Kill a worker with `kill -9` in the middle: the other one goes on with its runs, and nothing is done
//! twice.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod company;
mod work;

use std::path::PathBuf;

use company::Failure;
use work::{engine, plan, work};

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let usage = "usage: workers DATABASE-URL FOLDER (plan PEOPLE | work)";
    let (Some(database), Some(folder), Some(verb)) = (words.next(), words.next(), words.next())
    else {
        return Err(usage.into());
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let engine = engine(&database, &folder).await?;
        match (verb.as_str(), words.next()) {
            ("plan", Some(people)) => {
                let opened = plan(&engine, people.parse()?).await?;
                println!("{} runs wait for a worker", opened.runs.len());
            }
            ("work", None) => println!("closed {} runs", work(&engine).await?),
            _ => return Err(usage.into()),
        }
        Ok(())
    })
}
