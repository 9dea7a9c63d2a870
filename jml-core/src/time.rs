//! Civil dates and the instants that they mean.
//!
//! A date means nothing without a zone, and a zone skips and repeats times. The rule here fails closed:
//! where local midnight does not exist, the instant of the transition counts; where it occurs twice,
//! access ends at the earlier instant and begins at the later one.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::id::ZoneId;

/// What a local date and time means in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a local time occurs once, never or twice")]
pub enum LocalInstant {
    /// It occurs once.
    Unique(DateTime<Utc>),
    /// It is skipped; clocks jump over it at this instant.
    Gap {
        /// When the clocks jump.
        transition: DateTime<Utc>,
    },
    /// It occurs twice.
    Fold {
        /// The first time.
        earlier: DateTime<Utc>,
        /// The second time.
        later: DateTime<Utc>,
    },
}

/// A zone is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time zone `{0}` is not in the tz database; write a name like `Europe/Berlin`")]
pub struct UnknownZone(pub ZoneId);

/// Knows zones. A trait, because tz data is somebody's choice and goes stale.
pub trait ZoneResolver: Send + Sync {
    /// What a local date and time means in a zone.
    ///
    /// # Errors
    /// [`UnknownZone`].
    fn resolve(&self, zone: &ZoneId, local: NaiveDateTime) -> Result<LocalInstant, UnknownZone>;
}

/// Which edge of access a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "access begins or ends")]
pub enum Edge {
    /// Access begins: the later of two instants.
    Start,
    /// Access ends: the earlier of two instants.
    End,
}

/// The instant at which a civil day begins in a zone, as an edge of access. The end of a last day is
/// the start of the day after it, with [`Edge::End`].
///
/// # Errors
/// [`UnknownZone`].
pub fn day_start(
    zones: &dyn ZoneResolver,
    zone: &ZoneId,
    date: NaiveDate,
    edge: Edge,
) -> Result<DateTime<Utc>, UnknownZone> {
    Ok(match zones.resolve(zone, date.and_time(NaiveTime::MIN))? {
        LocalInstant::Unique(at) | LocalInstant::Gap { transition: at } => at,
        LocalInstant::Fold { earlier, later } => match edge {
            Edge::Start => later,
            Edge::End => earlier,
        },
    })
}

#[cfg(feature = "tz")]
pub use tzdb::TzdbZones;

#[cfg(feature = "tz")]
mod tzdb {
    use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
    use chrono_tz::Tz;

    use super::{LocalInstant, UnknownZone, ZoneResolver};
    use crate::id::ZoneId;

    /// Zones of the tz database that is bundled with `chrono-tz`.
    #[derive(Clone, Copy, Debug, Default)]
    #[expect(clippy::exhaustive_structs, reason = "a unit")]
    pub struct TzdbZones;

    impl ZoneResolver for TzdbZones {
        fn resolve(
            &self,
            zone: &ZoneId,
            local: NaiveDateTime,
        ) -> Result<LocalInstant, UnknownZone> {
            let tz: Tz = zone.as_str().parse().map_err(|_| UnknownZone(zone.clone()))?;
            Ok(match tz.from_local_datetime(&local) {
                MappedLocalTime::Single(at) => LocalInstant::Unique(at.to_utc()),
                MappedLocalTime::Ambiguous(a, b) => {
                    let (a, b) = (a.to_utc(), b.to_utc());
                    LocalInstant::Fold { earlier: a.min(b), later: a.max(b) }
                }
                MappedLocalTime::None => LocalInstant::Gap { transition: jump(tz, local) },
            })
        }
    }

    /// The first instant at which the zone's clocks show `local` or later, to the second.
    fn jump(tz: Tz, local: NaiveDateTime) -> DateTime<Utc> {
        let guess = local.and_utc();
        let (mut low, mut high) = (guess - TimeDelta::hours(50), guess + TimeDelta::hours(50));
        while high - low > TimeDelta::seconds(1) {
            let middle = low + (high - low) / 2;
            if middle.with_timezone(&tz).naive_local() >= local {
                high = middle;
            } else {
                low = middle;
            }
        }
        // Transitions happen at whole seconds; the search ends within one of them.
        let cut = TimeDelta::nanoseconds(i64::from(high.timestamp_subsec_nanos()));
        high - cut
    }

    #[cfg(test)]
    mod tests {
        use chrono::NaiveDate;
        use proptest::prelude::*;

        use super::super::{Edge, day_start};
        use super::*;

        fn start(zone: &str, (y, m, d): (i32, u32, u32), edge: Edge) -> String {
            let date = NaiveDate::from_ymd_opt(y, m, d).unwrap();
            let at = day_start(&TzdbZones, &ZoneId::new(zone).unwrap(), date, edge).unwrap();
            at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        }

        #[test]
        fn skipped_midnight_is_the_transition() {
            assert_eq!(start("Africa/Cairo", (2026, 4, 24), Edge::Start), "2026-04-23T22:00:00Z");
            assert_eq!(start("Asia/Beirut", (2026, 3, 29), Edge::End), "2026-03-28T22:00:00Z");
            assert_eq!(start("America/Santiago", (2026, 9, 6), Edge::End), "2026-09-06T04:00:00Z");
        }

        #[test]
        fn a_day_that_never_was_is_its_transition() {
            // Samoa went from the end of 29 December to the start of 31 December 2011.
            let lost = start("Pacific/Apia", (2011, 12, 30), Edge::End);
            assert_eq!(lost, start("Pacific/Apia", (2011, 12, 31), Edge::End));
        }

        #[test]
        fn repeated_midnight_ends_early_and_begins_late() {
            let end = start("Atlantic/Azores", (2026, 10, 25), Edge::End);
            let begin = start("Atlantic/Azores", (2026, 10, 25), Edge::Start);
            assert_eq!(end, "2026-10-25T00:00:00Z");
            assert_eq!(begin, "2026-10-25T01:00:00Z");
        }

        #[test]
        fn unknown_zones_are_errors() {
            let zone = ZoneId::new("Europe/Atlantis").unwrap();
            let date = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
            assert!(day_start(&TzdbZones, &zone, date, Edge::Start).is_err());
        }

        proptest! {
            #[test]
            fn later_days_never_begin_earlier(zone in 0..chrono_tz::TZ_VARIANTS.len(), day in 0_i64..20_000) {
                let zone = ZoneId::new(chrono_tz::TZ_VARIANTS[zone].name()).unwrap();
                let date = NaiveDate::from_ymd_opt(1980, 1, 1).unwrap() + TimeDelta::days(day);
                let next = date + TimeDelta::days(1);
                for edge in [Edge::Start, Edge::End] {
                    let a = day_start(&TzdbZones, &zone, date, edge).unwrap();
                    let b = day_start(&TzdbZones, &zone, next, edge).unwrap();
                    prop_assert!(a <= b, "{zone} {date}");
                }
            }
        }
    }
}
