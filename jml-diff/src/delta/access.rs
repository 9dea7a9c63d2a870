//! The access lines of one person, on one account.

use std::collections::BTreeMap;

use jml_core::account::{AccountRef, AccountState};
use jml_core::claim::ClaimSource;
use jml_core::entitlement::{Assignability, EntitlementKey, EntitlementRef};
use jml_core::plan::ForeignReason;
use jml_core::policy::Mode;
use smol_str::SmolStr;

use super::term::Term;
use super::{AccessLine, Verdict, Work};

impl Work<'_> {
    pub(super) fn access(
        &mut self,
        at: &AccountRef,
        state: &AccountState,
        claimed: &BTreeMap<&EntitlementKey, Vec<ClaimSource>>,
        gives: Option<Result<(), &'static str>>,
        complete: bool,
    ) {
        for key in &state.holdings {
            let entitlement = EntitlementRef::new(at.provider.clone(), key.clone());
            match claimed.get(key) {
                Some(reasons) => self.keep(at, entitlement, reasons.clone()),
                None => self.surplus(at, entitlement, complete),
            }
        }
        let Some(gives) = gives else { return };
        for (key, reasons) in claimed {
            if !state.holdings.contains(*key) {
                let entitlement = EntitlementRef::new(at.provider.clone(), (*key).clone());
                self.give(Some(at), entitlement, reasons, gives);
            }
        }
    }

    /// The line about one entitlement that is claimed, held or both.
    pub(super) fn one(
        &mut self,
        at: &AccountRef,
        state: &AccountState,
        key: &EntitlementKey,
        reasons: Vec<ClaimSource>,
    ) {
        let entitlement = EntitlementRef::new(at.provider.clone(), key.clone());
        match (state.holdings.contains(key), reasons.is_empty()) {
            (true, true) => self.surplus(at, entitlement, true),
            (true, false) => self.keep(at, entitlement, reasons),
            (false, true) => {}
            (false, false) => self.grant(Some(at), entitlement, reasons),
        }
    }

    fn keep(&mut self, at: &AccountRef, entitlement: EntitlementRef, reasons: Vec<ClaimSource>) {
        let because = join(&reasons);
        self.line(Some(at), entitlement, Verdict::Keep, reasons, because);
    }

    /// A grant, unless the account takes none now.
    pub(super) fn give(
        &mut self,
        at: Option<&AccountRef>,
        entitlement: EntitlementRef,
        reasons: &[ClaimSource],
        gives: Result<(), &'static str>,
    ) {
        match gives {
            Ok(()) => self.grant(at, entitlement, reasons.to_vec()),
            Err(why) => self.wait(format!("grant `{entitlement}`"), why),
        }
    }

    pub(super) fn grant(
        &mut self,
        at: Option<&AccountRef>,
        entitlement: EntitlementRef,
        reasons: Vec<ClaimSource>,
    ) {
        let term = Term::of(self.policy, self.world, &entitlement);
        if term.gives() {
            let because = join(&reasons);
            self.line(at, entitlement, Verdict::Grant, reasons, because);
            return;
        }
        if term.mode == Mode::Observe {
            self.wait(format!("grant `{entitlement}`"), "its mode is to observe");
            return;
        }
        let assignability = self.policy.entitlements.get(&entitlement).map(|e| &e.assignability);
        let why = match assignability {
            Some(Assignability::Computed { driver }) => {
                format!("the target computes it from `{driver}`")
            }
            Some(Assignability::Inherited { via }) => format!("it comes through `{via}`"),
            Some(Assignability::External { owner }) => format!("`{owner}` gives it"),
            _ => "it cannot be given by a call".to_owned(),
        };
        self.wait(format!("grant `{entitlement}`"), why);
    }

    fn surplus(&mut self, at: &AccountRef, entitlement: EntitlementRef, complete: bool) {
        let term = Term::of(self.policy, self.world, &entitlement);
        let granted = self.ledger.granted(at, &entitlement.key);
        let reviewed = self.desired.reviewed.get(&entitlement);
        let excused = reviewed.is_some() || self.out.gone;
        match term.surplus(granted.is_some(), excused) {
            Verdict::Foreign(why) => self.foreign(at, entitlement, why),
            _ if !complete => {
                self.wait(format!("revoke `{entitlement}`"), "the listing was not complete");
            }
            verdict => {
                let because = match (reviewed, granted) {
                    (Some(said), _) => said.to_string(),
                    (None, Some(granted)) => {
                        let day = granted.at.date_naive();
                        format!("no claim any more; granted by us on {day}")
                    }
                    (None, None) if term.mode == Mode::Relative => "the person is gone".to_owned(),
                    (None, None) => "no claim".to_owned(),
                };
                self.line(Some(at), entitlement, verdict, Vec::new(), because);
            }
        }
    }

    pub(super) fn foreign(
        &mut self,
        at: &AccountRef,
        entitlement: EntitlementRef,
        why: ForeignReason,
    ) {
        let text = match why {
            ForeignReason::Mode => "its mode never revokes",
            ForeignReason::NotOurs => "no claim, and not granted by us",
            ForeignReason::Computed => "the target computes it",
            ForeignReason::Inherited => "it is inherited",
            ForeignReason::External => "another system owns it",
            ForeignReason::Protected => "the account is protected",
            ForeignReason::LastHolder => "nobody else holds it",
            _ => "the target does not let it go",
        };
        let verdict = Verdict::Foreign(why);
        self.line(Some(at), entitlement, verdict, Vec::new(), text.to_owned());
    }

    fn line(
        &mut self,
        at: Option<&AccountRef>,
        entitlement: EntitlementRef,
        verdict: Verdict,
        reasons: Vec<ClaimSource>,
        because: String,
    ) {
        let sensitivity = self.policy.sensitivity(&entitlement);
        self.out.access.push(AccessLine {
            account: at.cloned(),
            entitlement,
            verdict,
            reasons,
            because: SmolStr::new(because),
            sensitivity,
        });
    }
}

fn join(reasons: &[ClaimSource]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
