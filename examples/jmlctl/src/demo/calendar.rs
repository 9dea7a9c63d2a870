//! What happens in the year.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::company::{Company, date, job};

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// HR changes something and sends a feed. The text is what the story says, if anything.
    Feed(Change, &'static str),
    /// A feed arrives with every other row missing.
    HalfFeed,
    /// The policy is edited: engineers get the code review tool.
    PolicyEdit,
    /// Another administrator changes accounts by hand.
    OutOfBand,
    /// A colleague is lent access by an exception that ends.
    Exception,
    /// A clerk gets an approved request for what may not go together with the job.
    Conflict,
    /// People sign in, so that there are sessions to revoke.
    SignIns,
}

/// What HR changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// Nothing but sending the first feed.
    First,
    /// A hire, known before the first day.
    Hire(usize, NaiveDate),
    /// A hire of an operator, whose power somebody must approve.
    HireOperator(usize, NaiveDate),
    /// Another job.
    Move(usize, (&'static str, &'static str, &'static str)),
    /// A last day.
    Leave(usize, NaiveDate),
    /// A dismissal for cause at an instant.
    Dismiss(usize, &'static str),
    /// A leave of absence.
    Away(usize, NaiveDate, NaiveDate),
    /// Back after having left.
    Rehire(usize, NaiveDate),
    /// An offer is withdrawn.
    Rescind(usize),
    /// By mistake, thirty people get yesterday as their last day.
    MassLeave,
    /// The mistake is put right.
    MassLeaveUndone,
    /// Nothing; the whole feed is sent again.
    Again,
}

/// The instant of a day of the story, 08:00 UTC.
pub(crate) fn morning(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::hours(8)
}

/// The year's events in order.
pub(crate) fn year() -> Vec<(DateTime<Utc>, Event)> {
    use Change as C;
    let mut out = vec![(
        morning(date(1, 5)),
        Event::Feed(C::First, "the whole staff comes in with the first feed"),
    )];
    let mut add = |month: u32, day: u32, event: Event| out.push((morning(date(month, day)), event));
    for month in 1..=12 {
        add(month, 6, Event::SignIns);
    }
    // The ordinary course of things.
    let (mut hired, mut left, mut moved) = (189, 20, 60);
    for month in 1..=11 {
        for (day, start) in [(7, 19), (8, 22), (12, 26)] {
            add(month, day, Event::Feed(C::Hire(hired, date(month, start)), ""));
            hired += 1;
        }
        add(month, 13, Event::Feed(C::Leave(left, date(month, 27)), ""));
        add(month, 14, Event::Feed(C::Leave(left + 1, date(month, 28)), ""));
        add(month, 15, Event::Feed(C::Move(moved, job(moved + 5)), ""));
        add(month, 16, Event::Feed(C::Move(moved + 1, job(moved + 7)), ""));
        (left, moved) = (left + 3, moved + 4);
    }
    // What the year is remembered for.
    add(
        2,
        12,
        Event::Feed(
            C::Dismiss(28, "2026-02-12T07:45:00Z"),
            "an operator is dismissed for cause, effective at once",
        ),
    );
    add(
        3,
        10,
        Event::Feed(
            C::Away(45, date(4, 1), date(6, 30)),
            "a leave of absence from April to June is entered",
        ),
    );
    add(3, 20, Event::HalfFeed);
    add(3, 21, Event::Feed(C::Again, "the whole feed arrives again"));
    add(
        4,
        14,
        Event::Feed(
            C::MassLeave,
            "HR enters yesterday as the last day of thirty people, by mistake",
        ),
    );
    add(4, 15, Event::Feed(C::MassLeaveUndone, "HR puts the mistake right"));
    add(5, 5, Event::OutOfBand);
    add(6, 16, Event::PolicyEdit);
    add(
        7,
        2,
        Event::Feed(
            C::HireOperator(300, date(7, 6)),
            "an operator is hired; the manager will refuse the production role",
        ),
    );
    add(
        7,
        9,
        Event::Feed(
            C::HireOperator(301, date(7, 13)),
            "another operator is hired; the manager will approve",
        ),
    );
    add(8, 4, Event::Exception);
    add(8, 18, Event::Conflict);
    add(9, 3, Event::Feed(C::Hire(302, date(9, 21)), "a hire for the 21st"));
    add(9, 17, Event::Feed(C::Rescind(302), "that offer is withdrawn before the first day"));
    add(
        9,
        22,
        Event::Feed(
            C::Rehire(21, date(10, 1)),
            "somebody who left in January comes back in October",
        ),
    );
    add(
        10,
        20,
        Event::Feed(
            C::Move(148, ("finance", "Clerk", "E0004")),
            "operator E0148 moves to finance: critical access goes first, without overlap",
        ),
    );
    out.sort_by_key(|(at, _)| *at);
    out
}

impl Change {
    /// Makes the change in HR's books.
    pub(crate) fn make(self, company: &mut Company) {
        match self {
            Self::First | Self::Again => {}
            Self::Hire(n, start) => company.hire(n, start, job(n)),
            Self::HireOperator(n, start) => {
                company.hire(n, start, ("platform", "Operator", "E0003"));
            }
            Self::Move(n, job) => {
                if let Some(row) = company.row(n) {
                    (row.department, row.title, row.manager) = job;
                }
            }
            Self::Leave(n, last) => {
                if let Some(row) = company.row(n) {
                    row.end = Some(last);
                }
            }
            Self::Dismiss(n, at) => {
                if let Some(row) = company.row(n) {
                    (row.status, row.cut_off) = ("for_cause", at);
                }
            }
            Self::Away(n, from, to) => {
                if let Some(row) = company.row(n) {
                    row.leave = Some((from, to));
                }
            }
            Self::Rehire(n, start) => {
                if let Some(mut row) = company.row(n).cloned() {
                    (row.engagement, row.start, row.end) = (2, start, None);
                    company.rows.insert((row.id.clone(), 2), row);
                }
            }
            Self::Rescind(n) => {
                if let Some(row) = company.row(n) {
                    row.status = "rescinded";
                }
            }
            Self::MassLeave => {
                for n in 100..130 {
                    if let Some(row) = company.row(n) {
                        row.end = Some(date(4, 13));
                    }
                }
            }
            Self::MassLeaveUndone => {
                for n in 100..130 {
                    if let Some(row) = company.row(n) {
                        row.end = None;
                    }
                }
            }
        }
    }
}
