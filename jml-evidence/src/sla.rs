//! How soon access has to go: limits that frameworks set, and which one is the strictest.

use std::collections::BTreeSet;

use serde::Serialize;

/// A limit from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Limit {
    /// The event that it is about.
    pub event: &'static str,
    /// Seconds from the later of the effective instant and the instant at which it became known, to the
    /// last way in being seen shut.
    pub seconds: i64,
    /// Where it is said.
    pub source: &'static str,
    /// The statement that it is about, as OSCAL names it.
    pub statement: &'static str,
    /// Whether the text gives the figure. Where it says `immediately`, the figure is ours.
    pub stated: bool,
}

/// Limits that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// FedRAMP High.
    FedRampHigh,
    /// FedRAMP Moderate, and Low.
    FedRampModerate,
    /// PCI DSS.
    Pci,
    /// OpenID IPSIE account lifecycle.
    Ipsie,
    /// The HIPAA Security Rule as proposed in January 2025. Not in force.
    HipaaProposed,
}

const HOUR: i64 = 3600;

const FEDRAMP_HIGH: [Limit; 2] = [
    Limit {
        event: "leaver",
        seconds: HOUR,
        source: "FedRAMP High PS-4 a",
        statement: "ps-4_smt.a",
        stated: true,
    },
    Limit {
        event: "mover",
        seconds: 24 * HOUR,
        source: "FedRAMP High PS-5 b",
        statement: "ps-5_smt.b",
        stated: true,
    },
];
const FEDRAMP_MODERATE: [Limit; 2] = [
    Limit {
        event: "leaver",
        seconds: 4 * HOUR,
        source: "FedRAMP Moderate PS-4 a",
        statement: "ps-4_smt.a",
        stated: true,
    },
    Limit {
        event: "mover",
        seconds: 24 * HOUR,
        source: "FedRAMP Moderate PS-5 b",
        statement: "ps-5_smt.b",
        stated: true,
    },
];
const PCI: [Limit; 1] = [Limit {
    event: "leaver",
    seconds: HOUR,
    source: "PCI DSS 4.0.1 8.2.5 (immediately)",
    statement: "pci-dss-4.0.1_8.2.5",
    stated: false,
}];
const IPSIE: [Limit; 1] = [
    // Five minutes to propagate, five for the application to act.
    Limit {
        event: "leaver",
        seconds: 600,
        source: "OpenID IPSIE AL1",
        statement: "ipsie_al1",
        stated: true,
    },
];
const HIPAA: [Limit; 1] = [Limit {
    event: "leaver",
    seconds: HOUR,
    source: "45 CFR 164.308(a)(9) as proposed, 90 FR 898",
    statement: "hipaa_164.308.a.9",
    stated: true,
}];

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] =
        [Self::FedRampHigh, Self::FedRampModerate, Self::Pci, Self::Ipsie, Self::HipaaProposed];

    /// The name in configuration, such as `fedramp-high`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FedRampHigh => "fedramp-high",
            Self::FedRampModerate => "fedramp-moderate",
            Self::Pci => "pci",
            Self::Ipsie => "ipsie",
            Self::HipaaProposed => "hipaa-proposed",
        }
    }

    /// The preset of a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }

    /// Its limits.
    #[must_use]
    pub const fn limits(self) -> &'static [Limit] {
        match self {
            Self::FedRampHigh => &FEDRAMP_HIGH,
            Self::FedRampModerate => &FEDRAMP_MODERATE,
            Self::Pci => &PCI,
            Self::Ipsie => &IPSIE,
            Self::HipaaProposed => &HIPAA,
        }
    }
}

/// The strictest limit that any of the presets sets for an event.
#[must_use]
pub fn strictest(presets: &BTreeSet<Preset>, event: &str) -> Option<Limit> {
    let limits = presets.iter().flat_map(|preset| preset.limits());
    limits.filter(|limit| limit.event == event).min_by_key(|limit| limit.seconds).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_one_wins() {
        let all: BTreeSet<Preset> = Preset::ALL.into();
        assert_eq!(strictest(&all, "leaver").map(|it| it.seconds), Some(600));
        let some = [Preset::FedRampModerate, Preset::Pci].into();
        assert_eq!(strictest(&some, "leaver").map(|it| it.source), Some(PCI[0].source));
        assert_eq!(strictest(&some, "joiner"), None);
        for preset in Preset::ALL {
            assert_eq!(Preset::parse(preset.as_str()), Some(preset));
        }
    }
}
