//! From the log of a campaign of reviews to its records.

use jml_core::canon::CanonError;
use jml_core::id::IdentityId;
use jml_core::review::{Act, Campaign, ItemId, Noted};

use super::{Body, By, Draft, Hidden, Outcome, Owner, ReviewBody, instant};
use crate::disclose::disclose;
use crate::entropy::Entropy;
use crate::vault::RetentionClass::{Detail, Proof};

/// A record and the person that it is about, if it is about one.
type About = (Option<IdentityId>, Draft);

/// The records of all lines from number `from` on.
pub(crate) fn review(
    campaign: &Campaign,
    from: u64,
    entropy: &mut dyn Entropy,
) -> Result<Vec<About>, CanonError> {
    let mut out = Vec::new();
    for line in campaign.log().iter().filter(|line| line.seq >= from) {
        one(campaign, line, entropy, &mut out)?;
    }
    Ok(out)
}

fn body(campaign: &Campaign, line: &Noted) -> ReviewBody {
    ReviewBody { campaign: campaign.rules().id.to_string(), seq: line.seq, ..ReviewBody::default() }
}

fn draft(
    kind: &'static str,
    line: &Noted,
    review: ReviewBody,
    status: Option<&'static str>,
) -> Draft {
    let outcome = status.map(|status| Outcome { status, code: None });
    let body = Body { review: Some(review), outcome, ..Body::default() };
    let actor = line.by.clone().map(By::Person);
    Draft { actor, ..Draft::new(kind, line.at, body) }
}

fn one(
    campaign: &Campaign,
    line: &Noted,
    entropy: &mut dyn Entropy,
    out: &mut Vec<About>,
) -> Result<(), CanonError> {
    let mut hidden = Vec::new();
    if let Some(by) = &line.by {
        let disclosure = disclose("actor", by, entropy)?;
        hidden.push(Hidden { owner: Owner::Person(by.clone()), class: Proof, disclosure });
    }
    let about = |item: &ItemId| campaign.items().get(item);
    match &line.act {
        Act::Opened { rules, items, .. } => {
            let mut said = body(campaign, line);
            said.items = Some(items.len() as u64);
            said.due = Some(instant(rules.due));
            let mut record = draft("review.opened", line, said, None);
            // Who reviews what is the company's business; whose access it is lies under their own keys.
            if let Some(by) = &line.by {
                let disclosure = disclose("rules", rules, entropy)?;
                let owner = Owner::Person(by.clone());
                hidden.push(Hidden { owner, class: Detail, disclosure });
            }
            record.hidden = hidden;
            out.push((None, record));
        }
        Act::Asked { reviewer, items, again } => {
            let mut said = body(campaign, line);
            said.items = Some(items.len() as u64);
            let status = if *again { "reminded" } else { "asked" };
            let mut record = draft("notification.sent", line, said, Some(status));
            let disclosure = disclose("reviewer", reviewer, entropy)?;
            hidden.push(Hidden {
                owner: Owner::Person(reviewer.clone()),
                class: Proof,
                disclosure,
            });
            record.hidden = hidden;
            out.push((None, record));
        }
        Act::Nobody { items } => {
            let mut said = body(campaign, line);
            said.items = Some(items.len() as u64);
            out.push((None, draft("policy.decision", line, said, Some("nobody can decide"))));
        }
        Act::Decided { item, keep, standing, why } => {
            let Some(it) = about(item) else { return Ok(()) };
            let mut said = body(campaign, line);
            said.entitlement = Some(it.entitlement.to_string());
            said.decided = Some(if *keep { "kept" } else { "revoked" });
            let mut record = draft("review.item_decided", line, said, None);
            for disclosure in [
                disclose("identity", &it.identity, entropy)?,
                disclose("why", why, entropy)?,
                disclose("standing", standing, entropy)?,
                disclose("reasons", &it.reasons, entropy)?,
            ] {
                hidden.push(Hidden { owner: Owner::Subject, class: Proof, disclosure });
            }
            record.hidden = hidden;
            out.push((Some(it.identity.clone()), record));
        }
        Act::Refused { item, why } => {
            let Some(it) = about(item) else { return Ok(()) };
            let mut said = body(campaign, line);
            said.entitlement = Some(it.entitlement.to_string());
            let mut record = draft("policy.decision", line, said, Some("refused"));
            let disclosure = disclose("why", why, entropy)?;
            hidden.push(Hidden { owner: Owner::Subject, class: Proof, disclosure });
            record.hidden = hidden;
            out.push((Some(it.identity.clone()), record));
        }
        Act::Closed { by_default } => {
            for item in by_default {
                let Some(it) = about(item) else { continue };
                let mut said = body(campaign, line);
                said.entitlement = Some(it.entitlement.to_string());
                said.decided = Some("revoked by default");
                let mut record = draft("review.item_decided", line, said, None);
                let disclosure = disclose("identity", &it.identity, entropy)?;
                record.hidden.push(Hidden { owner: Owner::Subject, class: Proof, disclosure });
                out.push((Some(it.identity.clone()), record));
            }
            let words = campaign.words().values();
            let kept = words.clone().filter(|word| word.keep).count() as u64;
            let mut said = body(campaign, line);
            said.items = Some(campaign.items().len() as u64);
            said.kept = Some(kept);
            said.revoked = Some(words.count() as u64 - kept);
            said.by_default = Some(by_default.len() as u64);
            out.push((None, draft("review.closed", line, said, None)));
        }
        _ => {}
    }
    Ok(())
}
