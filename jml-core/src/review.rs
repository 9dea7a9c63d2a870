//! Access reviews: campaigns in which people say of live access whether it is still needed.
//!
//! A campaign is a log: what was asked, who was asked and reminded, who said what, and what was taken away
//! because nobody spoke for it. It is pure: time is an argument, and whoever keeps it calls
//! [`Campaign::tick`] when [`Campaign::next_at`] says so. Words become facts
//! ([`Campaign::words`] into [`PersonFacts::reviews`](crate::facts::PersonFacts::reviews)), and facts become
//! plans like any others: a revoke by a reviewer passes the brakes, is carried out, read back and proven.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::approval::{Deciders, Panel, Standing};
use crate::canon::CanonError;
use crate::claim::ClaimSource;
use crate::desired::desired;
use crate::digest::Digest;
use crate::entitlement::{EntitlementRef, Sensitivity};
use crate::facts::{Facts, Reviewed};
use crate::id::{CampaignId, IdentityId, ProviderId};
use crate::policy::Approvers;

/// The version of the format of campaigns that this crate writes and reads.
pub const CAMPAIGN_FORMAT: u16 = 1;

/// What is reviewed. An empty set means: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Scope {
    /// On these providers.
    pub providers: BTreeSet<ProviderId>,
    /// These entitlements.
    pub entitlements: BTreeSet<EntitlementRef>,
    /// Of these people.
    pub people: BTreeSet<IdentityId>,
    /// At least as harmful as this.
    pub at_least: Sensitivity,
    /// Only what no rule and no role gives: requests, exceptions, what was adopted or is left of a move.
    pub beyond_roles: bool,
}

/// How a campaign goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Rules {
    /// Its name.
    pub id: CampaignId,
    /// For people.
    pub title: SmolStr,
    /// What is reviewed.
    pub scope: Scope,
    /// Who reviews. Nobody reviews their own access.
    pub reviewers: Approvers,
    /// Who reviews where nobody of those is left, and besides them when time runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Approvers>,
    /// So many days before the end the fallback is asked as well.
    #[serde(default)]
    pub escalate_days: u16,
    /// When it ends. What nobody spoke for by then is taken away.
    pub due: DateTime<Utc>,
    /// So many days before the end people are reminded of what they did not decide.
    #[serde(default)]
    pub remind_days: BTreeSet<u16>,
}

/// One thing to decide: one entitlement of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Item {
    /// Whose.
    pub identity: IdentityId,
    /// What.
    pub entitlement: EntitlementRef,
    /// Why they have it: every reason.
    pub reasons: Vec<ClaimSource>,
    /// How much harm it can do.
    pub sensitivity: Sensitivity,
}

/// Names an item within its campaign.
pub type ItemId = u32;

/// One line of a campaign's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "a stored format; a change is a new version")]
pub struct Noted {
    /// Its number, from 0 without gaps.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who, where a person did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<IdentityId>,
    /// What.
    pub act: Act,
    /// The digest of the line before it; of the campaign's name for the first one.
    pub prev: Digest,
}

/// What happened in a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Act {
    /// It began.
    Opened {
        /// [`CAMPAIGN_FORMAT`].
        format: u16,
        /// How it goes.
        rules: Box<Rules>,
        /// What is to be decided; the first one is item 1.
        items: Vec<Item>,
    },
    /// Somebody was asked.
    Asked {
        /// Whom.
        reviewer: IdentityId,
        /// About what.
        items: BTreeSet<ItemId>,
        /// Whether it was a reminder.
        again: bool,
    },
    /// Nobody can decide about these as things stand.
    Nobody {
        /// About what.
        items: BTreeSet<ItemId>,
    },
    /// Somebody said whether it is still needed. The line says who. The latest word counts.
    Decided {
        /// About what.
        item: ItemId,
        /// Whether it is.
        keep: bool,
        /// By what right.
        standing: Standing,
        /// Why, in their words.
        why: SmolStr,
    },
    /// A word was not counted. The line says whose.
    Refused {
        /// About what.
        item: ItemId,
        /// Why it does not count.
        why: SmolStr,
    },
    /// It ended.
    Closed {
        /// What is taken away because nobody spoke for it.
        by_default: BTreeSet<ItemId>,
    },
}

/// Why something was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// It would end before it begins.
    #[error("the campaign would end at {0}, which is not after its beginning")]
    Due(DateTime<Utc>),
    /// There is nothing in its scope.
    #[error("nothing that anybody has is in the scope of the campaign")]
    Empty,
    /// There is no such item.
    #[error("campaign `{campaign}` has no item {item}")]
    NoItem {
        /// Which campaign.
        campaign: CampaignId,
        /// Which item.
        item: ItemId,
    },
    /// It ended.
    #[error("campaign `{0}` has ended")]
    Ended(CampaignId),
    /// Whoever said it may not decide about it.
    #[error("`{by}` does not decide about this: {why}")]
    NotTaken {
        /// Who.
        by: IdentityId,
        /// Why.
        why: SmolStr,
    },
    /// A stored log is not one.
    #[error("the log of the campaign is broken at line {line}: {what}")]
    Broken {
        /// Which line, from 0.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Something has no canonical form.
    #[error("a line of the campaign has no canonical form")]
    Canon(#[from] CanonError),
}

/// A word about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Word {
    /// Whether it is still needed.
    pub keep: bool,
    /// Who said so; `None` when nobody did in time.
    pub by: Option<IdentityId>,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in their words.
    pub why: SmolStr,
}

/// What somebody should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Letter {
    /// Whom to tell.
    pub to: IdentityId,
    /// What they have to decide.
    pub items: BTreeSet<ItemId>,
    /// Whether they were told before.
    pub again: bool,
}

/// A campaign, folded from its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Noted>", into = "Vec<Noted>")]
pub struct Campaign {
    log: Vec<Noted>,
    rules: Rules,
    items: BTreeMap<ItemId, Item>,
    words: BTreeMap<ItemId, Word>,
    asked: BTreeMap<IdentityId, BTreeSet<ItemId>>,
    reminded: Option<DateTime<Utc>>,
    nobody: BTreeSet<ItemId>,
    closed: Option<DateTime<Utc>>,
}

impl From<Campaign> for Vec<Noted> {
    fn from(campaign: Campaign) -> Self {
        campaign.log
    }
}

impl TryFrom<Vec<Noted>> for Campaign {
    type Error = ReviewError;

    /// Reads a log. Its chain is checked, and lines of another version are refused.
    fn try_from(log: Vec<Noted>) -> Result<Self, ReviewError> {
        let broken = |line, what| ReviewError::Broken { line, what };
        let mut lines = log.into_iter();
        let first = lines.next().ok_or(broken(0, "it has no line"))?;
        let Act::Opened { format, rules, items } = &first.act else {
            return Err(broken(0, "it does not begin with the opening"));
        };
        if *format != CAMPAIGN_FORMAT {
            return Err(broken(0, "its version is unknown"));
        }
        if first.seq != 0 || first.prev != genesis(&rules.id) {
            return Err(broken(0, "it is the beginning of something else"));
        }
        let (rules, items) = (Rules::clone(rules), numbered(items));
        let mut campaign = Self::folded(rules, items, first);
        for line in lines {
            let last = campaign.log.last().map(digest).transpose()?;
            if line.seq != campaign.log.len() as u64 || Some(line.prev) != last {
                return Err(broken(line.seq, "it does not follow the line before it"));
            }
            campaign.fold(line);
        }
        Ok(campaign)
    }
}

fn genesis(id: &CampaignId) -> Digest {
    Digest::of_bytes("jml-campaign/v1", id.as_str().as_bytes())
}

fn digest(line: &Noted) -> Result<Digest, CanonError> {
    Digest::of_value("jml-noted/v1", line)
}

/// Items by number, from 1.
fn numbered(items: &[Item]) -> BTreeMap<ItemId, Item> {
    (1..).zip(items.iter().cloned()).collect()
}

impl Campaign {
    fn folded(rules: Rules, items: BTreeMap<ItemId, Item>, first: Noted) -> Self {
        Self {
            log: vec![first],
            rules,
            items,
            words: BTreeMap::new(),
            asked: BTreeMap::new(),
            reminded: None,
            nobody: BTreeSet::new(),
            closed: None,
        }
    }

    /// Opens a campaign over what everybody has by their claims at an instant.
    ///
    /// # Errors
    /// [`ReviewError::Due`], [`ReviewError::Empty`], [`ReviewError::Canon`].
    pub fn open(
        rules: Rules,
        by: &IdentityId,
        deciders: &Deciders<'_>,
    ) -> Result<Self, ReviewError> {
        if rules.due <= deciders.at {
            return Err(ReviewError::Due(rules.due));
        }
        let mut items = Vec::new();
        let scope = &rules.scope;
        let all = |empty: bool, contains: bool| empty || contains;
        for (identity, facts) in &deciders.facts.people {
            if !all(scope.people.is_empty(), scope.people.contains(identity)) {
                continue;
            }
            let wanted = desired(deciders.policy, facts, deciders.zones, deciders.at);
            let mut held: BTreeMap<EntitlementRef, Vec<ClaimSource>> = BTreeMap::new();
            for claim in wanted.claims {
                held.entry(claim.entitlement).or_default().push(claim.source);
            }
            for (entitlement, reasons) in held {
                let sensitivity = deciders.policy.sensitivity(&entitlement);
                let given = |it: &ClaimSource| {
                    matches!(it, ClaimSource::Birthright { .. } | ClaimSource::Role { .. })
                };
                let here = all(
                    scope.providers.is_empty(),
                    scope.providers.contains(&entitlement.provider),
                ) && all(
                    scope.entitlements.is_empty(),
                    scope.entitlements.contains(&entitlement),
                ) && sensitivity >= scope.at_least
                    && !(scope.beyond_roles && reasons.iter().any(given));
                if here {
                    let identity = identity.clone();
                    items.push(Item { identity, entitlement, reasons, sensitivity });
                }
            }
        }
        if items.is_empty() {
            return Err(ReviewError::Empty);
        }
        let act = Act::Opened {
            format: CAMPAIGN_FORMAT,
            rules: Box::new(rules.clone()),
            items: items.clone(),
        };
        let prev = genesis(&rules.id);
        let first = Noted { seq: 0, at: deciders.at, by: Some(by.clone()), act, prev };
        Ok(Self::folded(rules, numbered(&items), first))
    }

    fn note(
        &mut self,
        at: DateTime<Utc>,
        by: Option<&IdentityId>,
        act: Act,
    ) -> Result<(), ReviewError> {
        let prev = match self.log.last() {
            Some(last) => digest(last)?,
            None => genesis(&self.rules.id),
        };
        let seq = self.log.len() as u64;
        self.fold(Noted { seq, at, by: by.cloned(), act, prev });
        Ok(())
    }

    /// Takes a line in. Live and on reading, the same.
    fn fold(&mut self, line: Noted) {
        match &line.act {
            Act::Asked { reviewer, items, again } => {
                self.asked.entry(reviewer.clone()).or_default().extend(items);
                self.nobody.retain(|item| !items.contains(item));
                if *again {
                    self.reminded = Some(line.at);
                }
            }
            Act::Nobody { items } => self.nobody.extend(items),
            Act::Decided { item, keep, why, .. } => {
                let (keep, by, at, why) = (*keep, line.by.clone(), line.at, why.clone());
                self.words.insert(*item, Word { keep, by, at, why });
            }
            Act::Closed { by_default } => {
                self.closed = Some(line.at);
                for item in by_default {
                    let why = SmolStr::new("nobody spoke for it in time");
                    self.words.insert(*item, Word { keep: false, by: None, at: line.at, why });
                }
            }
            Act::Opened { .. } | Act::Refused { .. } => {}
        }
        self.log.push(line);
    }

    /// Who may decide about an item now.
    fn panel(&self, item: &Item, deciders: &Deciders<'_>) -> Panel {
        let covers = BTreeSet::from([&item.entitlement]);
        let of = |who: &Approvers| deciders.panel(who, &item.identity, &covers);
        let mut panel = of(&self.rules.reviewers);
        let late = self.rules.due - TimeDelta::days(self.rules.escalate_days.into()) <= deciders.at;
        if let Some(fallback) = self.rules.fallback.as_ref().filter(|_| late || panel.is_empty()) {
            for (id, standing) in of(fallback) {
                panel.entry(id).or_insert(standing);
            }
        }
        panel
    }

    /// Takes a word about an item. Who may decide is looked up now: somebody who left meanwhile decides
    /// nothing, and nobody decides about themselves, not through a delegation either. A word can be changed
    /// until the campaign ends; the latest one counts.
    ///
    /// # Errors
    /// [`ReviewError::NotTaken`] when the word does not count; the log says so too.
    pub fn decide(
        &mut self,
        item: ItemId,
        by: &IdentityId,
        keep: bool,
        why: &str,
        deciders: &Deciders<'_>,
    ) -> Result<(), ReviewError> {
        let at = deciders.at;
        if self.closed.is_some() || at >= self.rules.due {
            return Err(ReviewError::Ended(self.rules.id.clone()));
        }
        let Some(about) = self.items.get(&item) else {
            return Err(ReviewError::NoItem { campaign: self.rules.id.clone(), item });
        };
        let panel = self.panel(about, deciders);
        if let Some(standing) = panel.get(by) {
            let (standing, why) = (standing.clone(), SmolStr::new(why));
            return self.note(at, Some(by), Act::Decided { item, keep, standing, why });
        }
        let why = SmolStr::new(if *by == about.identity {
            "nobody reviews their own access"
        } else {
            "they are not a reviewer of it, or not at work"
        });
        self.note(at, Some(by), Act::Refused { item, why: why.clone() })?;
        Err(ReviewError::NotTaken { by: by.clone(), why })
    }

    /// Does what is due: asks whoever has something to decide and was not asked, reminds, and ends the
    /// campaign at its time. Says whom to tell what.
    ///
    /// # Errors
    /// [`ReviewError::Canon`].
    pub fn tick(&mut self, deciders: &Deciders<'_>) -> Result<Vec<Letter>, ReviewError> {
        let at = deciders.at;
        if self.closed.is_some() {
            return Ok(Vec::new());
        }
        if at >= self.rules.due {
            let decided = |item: &&ItemId| self.words.contains_key(*item);
            let by_default = self.items.keys().filter(|item| !decided(item)).copied().collect();
            self.note(at, None, Act::Closed { by_default })?;
            return Ok(Vec::new());
        }
        let mut open: BTreeMap<IdentityId, BTreeSet<ItemId>> = BTreeMap::new();
        let mut nobody = BTreeSet::new();
        for (id, item) in self.items.iter().filter(|(id, _)| !self.words.contains_key(*id)) {
            let panel = self.panel(item, deciders);
            if panel.is_empty() && !self.nobody.contains(id) {
                nobody.insert(*id);
            }
            for who in panel.into_keys() {
                open.entry(who).or_default().insert(*id);
            }
        }
        let again = self.reminder_at(at).is_some();
        let mut letters = Vec::new();
        for (to, items) in open {
            let known = self.asked.get(&to);
            let new: BTreeSet<ItemId> = items
                .iter()
                .filter(|item| !known.is_some_and(|known| known.contains(item)))
                .copied()
                .collect();
            if again && new.len() < items.len() {
                letters.push(Letter { to, items, again: true });
            } else if !new.is_empty() {
                letters.push(Letter { to, items: new, again: false });
            }
        }
        for letter in &letters {
            let Letter { to, items, again } = letter.clone();
            self.note(at, None, Act::Asked { reviewer: to, items, again })?;
        }
        if !nobody.is_empty() {
            self.note(at, None, Act::Nobody { items: nobody })?;
        }
        Ok(letters)
    }

    /// The reminder that is due at an instant and was not sent.
    fn reminder_at(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let due = self.reminders().filter(|reminder| *reminder <= at).max()?;
        self.reminded.is_none_or(|sent| sent < due).then_some(due)
    }

    fn reminders(&self) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        let opened = self.opened();
        let days = self.rules.remind_days.iter();
        let at = days.map(|days| self.rules.due - TimeDelta::days((*days).into()));
        at.filter(move |reminder| *reminder > opened)
    }

    /// When [`tick`](Self::tick) has something to do by itself; `None` when it ended.
    #[must_use]
    pub fn next_at(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.closed.is_some() {
            return None;
        }
        let escalation = self.rules.due - TimeDelta::days(self.rules.escalate_days.into());
        let times = self.reminders().chain([escalation, self.rules.due]);
        Some(times.filter(|at| *at > after).min().unwrap_or(self.rules.due))
    }

    /// When it began.
    #[must_use]
    pub fn opened(&self) -> DateTime<Utc> {
        self.log.first().map_or(self.rules.due, |line| line.at)
    }

    /// When it ended.
    #[must_use]
    pub const fn closed(&self) -> Option<DateTime<Utc>> {
        self.closed
    }

    /// How it goes.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is to be decided.
    #[must_use]
    pub const fn items(&self) -> &BTreeMap<ItemId, Item> {
        &self.items
    }

    /// What was said about each item, and by default once it ended.
    #[must_use]
    pub const fn words(&self) -> &BTreeMap<ItemId, Word> {
        &self.words
    }

    /// Items about which nobody can decide as things stand.
    #[must_use]
    pub const fn without_reviewer(&self) -> &BTreeSet<ItemId> {
        &self.nobody
    }

    /// Its log, whole.
    #[must_use]
    pub fn log(&self) -> &[Noted] {
        &self.log
    }

    /// Puts what was said into the facts of the people whom it is about. Doing it again changes nothing.
    /// Says whose facts changed: whom to plan for.
    pub fn apply(&self, facts: &mut Facts) -> BTreeSet<IdentityId> {
        let mut changed = BTreeSet::new();
        for (id, word) in &self.words {
            let Some(item) = self.items.get(id) else { continue };
            let Some(person) = facts.people.get_mut(&item.identity) else { continue };
            let said = Reviewed {
                entitlement: item.entitlement.clone(),
                campaign: self.rules.id.clone(),
                at: word.at,
                by: word.by.clone(),
                keep: word.keep,
            };
            let known = person
                .reviews
                .iter_mut()
                .find(|it| it.campaign == said.campaign && it.entitlement == said.entitlement);
            match known {
                Some(known) if *known == said => continue,
                Some(known) => *known = said,
                None => {
                    person.reviews.push(said);
                    person.reviews.sort();
                }
            }
            changed.insert(item.identity.clone());
        }
        changed
    }
}
