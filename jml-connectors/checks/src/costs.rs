//! What the events of a life cost in requests.

use std::path::Path;

use jml_testkit::fake::{Fake, FakeApi, Recorded};

use crate::{Life, golden};

/// Counts what a fake is asked, one event after the other.
#[derive(Debug)]
pub struct Costs<'f, A: FakeApi> {
    fake: &'f Fake<A>,
    events: Vec<Vec<Recorded>>,
}

impl<'f, A: FakeApi> Costs<'f, A> {
    /// Of this fake.
    #[must_use]
    pub const fn of(fake: &'f Fake<A>) -> Self {
        Self { fake, events: Vec::new() }
    }

    /// An event is over; what comes now is of the next one.
    pub fn mark(&mut self) {
        self.events.push(self.fake.requests());
        self.fake.forget();
    }

    /// Goes on behind the mover, with somebody who leaves, and compares all with `tests/golden/requests.txt` in the
    /// connector's folder: changes exactly, reads to within a tenth or two, since how often something is asked again
    /// depends on how fast the machine is. `JML_UPDATE_GOLDEN=1` writes it. Marked so far: what was before anybody
    /// came, and the joiner.
    pub async fn end(mut self, mut life: Life, leaver: &str, folder: &str) {
        self.mark();
        life.leave(leaver);
        life.settle().await;
        self.mark();
        life.settle().await;
        self.mark();
        let [_, joiner, mover, leaver, idle] = self.events.try_into().unwrap();
        let events =
            [("nothing new", idle), ("joiner", joiner), ("mover", mover), ("leaver", leaver)];
        let (path, text) = (Path::new(folder).join("tests/golden/requests.txt"), table(&events));
        if !is_close(&std::fs::read_to_string(&path).unwrap_or_default(), &text) {
            golden(&path, &text);
        }
    }
}

/// A line for each event: requests that only read, and those that could change something. What planning reads each
/// time, whether or not anything is new, is the first line, and not counted again in the others. Requests for access
/// tokens are not counted.
fn table(events: &[(&str, Vec<Recorded>); 4]) -> String {
    let changes = |all: &[Recorded]| all.iter().filter(|it| it.mutates).count();
    // A credential is renewed when it is due, whatever is done then.
    let token =
        |it: &&Recorded| it.target.split('?').next().is_some_and(|it| it.ends_with("/token"));
    let reads = |all: &[Recorded]| all.iter().filter(|it| !it.mutates && !token(it)).count();
    let [(_, idle), ..] = events;
    let mut text = "event         reads  changes\n".to_owned();
    for (number, (event, all)) in events.iter().enumerate() {
        let reads = reads(all) - if number == 0 { 0 } else { reads(idle) };
        text.push_str(&format!("{event:<12} {reads:>6} {:>8}\n", changes(all)));
    }
    text
}

fn is_close(kept: &str, text: &str) -> bool {
    let numbers = |line: &str| -> (usize, usize) {
        let mut last = line.split_whitespace().rev().map(|it| it.parse().unwrap());
        (last.next().unwrap(), last.next().unwrap())
    };
    kept.lines().count() == text.lines().count()
        && kept.lines().zip(text.lines()).skip(1).all(|(kept, now)| {
            let ((kept, reads), (now, read)) = (numbers(kept), numbers(now));
            kept == now && reads.abs_diff(read) <= 2.max(reads / 10)
        })
}

#[cfg(test)]
mod tests {
    use super::is_close;

    #[test]
    fn changes_are_counted_exactly_and_reads_nearly() {
        let kept = "event reads changes\njoiner 40 5\n";
        for (text, close) in [
            ("event reads changes\njoiner 40 5\n", true),
            ("event reads changes\njoiner 44 5\n", true),
            ("event reads changes\njoiner 45 5\n", false),
            ("event reads changes\njoiner 40 6\n", false),
            ("event reads changes\n", false),
        ] {
            assert_eq!(is_close(kept, text), close, "{text}");
        }
    }
}
