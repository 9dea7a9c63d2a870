//! Before and after: what a change really did, read from the target.

use async_trait::async_trait;
use chrono::TimeDelta;
use jml_core::provider::{
    Applied, Call, Change, Consistency, Cx, Effect, Error, ErrorKind, Layer, Next, Observation,
    Outcome, Reply, Result, Slot, Target,
};
use smol_str::SmolStr;

/// Reads the account before and after each change. A vendor that answers "accepted" whether or not
/// something changed needs nothing more; an end state that is not there is an error, whatever the target
/// said. A read that fails never turns a change that landed into an error.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "has no settings")]
pub struct Observe;

#[async_trait]
impl Layer for Observe {
    fn slot(&self) -> Slot {
        Slot::Observe
    }

    async fn call(&self, cx: &Cx, call: &Call, next: Next<'_>) -> Result<Reply> {
        let Call::Apply(change) = call else { return next.run(cx, call).await };
        let before = look(cx, &change.target()?, next).await;
        let mut outcome = next.run(cx, call).await?.outcome()?;
        match before {
            Ok(seen) => outcome.before = seen,
            Err(error) => outcome.warnings.push(warning("before", &error)),
        }
        if outcome.effect == Effect::Pending {
            return Ok(outcome.into());
        }
        confirm(cx, change, &mut outcome, next).await?;
        Ok(outcome.into())
    }
}

fn warning(when: &str, error: &Error) -> SmolStr {
    SmolStr::new(format!("the account was not read {when} the change: {}", error.kind().as_str()))
}

async fn look(cx: &Cx, target: &Target, next: Next<'_>) -> Result<Observation> {
    next.run(cx, &Call::Read(target.clone())).await?.seen()
}

async fn confirm(cx: &Cx, change: &Change, outcome: &mut Outcome, next: Next<'_>) -> Result<()> {
    let target = match &outcome.account {
        Some(account) => Target::Account(account.clone()),
        None => change.target()?,
    };
    let mut after = look(cx, &target, next).await;
    let shows =
        |seen: &Result<Observation>| seen.as_ref().is_ok_and(|seen| change.op.satisfied_by(seen));
    if !shows(&after)
        && let Consistency::Within { ms } = next.descriptor().consistency
    {
        // Within the window, what is read may be what was there before.
        let wait = TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 2));
        cx.clock().sleep_until(cx.now() + wait).await;
        after = look(cx, &target, next).await;
    }
    let denied = after.as_ref().is_ok_and(|seen| change.op.readable_in(seen)) && !shows(&after);
    if denied {
        let text = format!("the target says that it did `{}`, and it does not show", change.op);
        return Err(Error::new(ErrorKind::ContractViolation, text).with_applied(Applied::Unknown));
    }
    match after {
        Ok(seen) => {
            if outcome.effect == Effect::Accepted || outcome.recovered {
                let visible = !outcome.before.is_missing() && change.op.readable_in(&seen);
                outcome.effect = match (visible, same(&outcome.before, &seen)) {
                    (true, true) => Effect::Unchanged,
                    (true, false) => Effect::Changed,
                    (false, _) => outcome.effect,
                };
            }
            outcome.after = seen;
        }
        Err(error) => outcome.warnings.push(warning("after", &error)),
    }
    Ok(())
}

/// Whether nothing changed, leaving aside version tags, which some targets renew on every call.
fn same(before: &Observation, after: &Observation) -> bool {
    match (before, after) {
        (Observation::Present(before), Observation::Present(after)) => {
            let (mut before, mut after) = (before.clone(), after.clone());
            before.version = None;
            after.version = None;
            before == after
        }
        (before, after) => before == after,
    }
}
