//! `review`: campaigns in which people say of access whether it is still needed.

use std::collections::BTreeSet;

use jml_core::approval::Deciders;
use jml_core::clock::Clock as _;
use jml_core::entitlement::Sensitivity;
use jml_core::id::{CampaignId, IdentityId};
use jml_core::nearest::nearest;
use jml_core::policy::Approvers;
use jml_core::review::{Campaign, Letter, ReviewError, Rules, Scope};
use jml_core::time::TzdbZones;
use jml_engine::SystemClock;
use serde_json::json;

use super::audit::start_of;
use super::open;
use crate::cli::{Cli, Review};
use crate::exit::{CONFIG, Failure, OK};
use crate::out::Out;
use crate::project::Project;

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::new(CONFIG, error.to_string())
}

/// Who reviews, from words of the command line.
fn reviewers(project: &Project, words: &[String]) -> Result<Approvers, Failure> {
    match words {
        [one] if one == "manager" => {
            let attribute = project.policy.leaver.manager.clone().ok_or_else(|| {
                let text = "the policy does not say which attribute names the manager; set \
                            `leaver.manager`, or name the reviewers";
                Failure::new(CONFIG, text)
            })?;
            Ok(Approvers::Manager { attribute, level: 1 })
        }
        [one] if one == "owner" => Ok(Approvers::EntitlementOwner),
        ids => {
            let ids = ids.iter().map(|id| IdentityId::new(id).map_err(wrong));
            let ids = ids.collect::<Result<BTreeSet<_>, _>>()?;
            let known = project.facts.people.keys().map(IdentityId::as_str);
            if let Some(id) = ids.iter().find(|id| !project.facts.people.contains_key(*id)) {
                let hint = nearest(id.as_str(), known).map(|it| format!("; did you mean `{it}`?"));
                let text = format!("`{id}` is nobody known{}", hint.unwrap_or_default());
                return Err(Failure::new(CONFIG, text));
            }
            Ok(Approvers::Named(ids))
        }
    }
}

pub(super) fn review(cli: &Cli, what: &Review, out: &Out) -> Result<u8, Failure> {
    let mut project = open(&cli.config, !matches!(what, Review::Show { .. }))?;
    let at = SystemClock.now();
    let (Review::Open { id, .. }
    | Review::Show { id }
    | Review::Decide { id, .. }
    | Review::Tick { id }) = what;
    let id = CampaignId::new(id).map_err(wrong)?;
    let known = project.campaign(&id)?;
    if let Review::Open { due, by, reviewers: who, fallback, at_least, beyond_roles, .. } = what {
        if known.is_some() {
            return Err(wrong(format!("campaign `{id}` is there already")));
        }
        let levels = [
            Sensitivity::Standard,
            Sensitivity::Sensitive,
            Sensitivity::Privileged,
            Sensitivity::Critical,
        ];
        let level = levels.into_iter().find(|it| format!("{it:?}").eq_ignore_ascii_case(at_least));
        let level = level.ok_or_else(|| {
            wrong(format!("`{at_least}` is none of standard, sensitive, privileged, critical"))
        })?;
        let fallback =
            if fallback.is_empty() { None } else { Some(reviewers(&project, fallback)?) };
        let rules = Rules {
            id,
            title: format!("review until {due}").into(),
            scope: Scope { at_least: level, beyond_roles: *beyond_roles, ..Scope::default() },
            reviewers: reviewers(&project, who)?,
            fallback,
            escalate_days: 3,
            due: start_of(*due),
            remind_days: [7, 3, 1].into(),
        };
        let by = IdentityId::new(by).map_err(wrong)?;
        let mut campaign = Campaign::open(rules, &by, &deciders(&project, at)).map_err(wrong)?;
        let letters = campaign.tick(&deciders(&project, at))?;
        keep(&mut project, &campaign, 0)?;
        return tell(cli, &campaign, &letters, out);
    }
    let Some((mut campaign, version)) = known else {
        return Err(wrong(format!("there is no campaign `{id}`; `jmlctl review open` makes one")));
    };
    let mut letters = Vec::new();
    match what {
        Review::Decide { item, by, why, revoke, .. } => {
            let by = IdentityId::new(by).map_err(wrong)?;
            let said = campaign.decide(*item, &by, !revoke, why, &deciders(&project, at));
            // A word that does not count is in the log too.
            keep(&mut project, &campaign, version)?;
            said.map_err(|e: ReviewError| wrong(e))?;
        }
        Review::Tick { .. } => {
            letters = campaign.tick(&deciders(&project, at))?;
            keep(&mut project, &campaign, version)?;
        }
        _ => {}
    }
    tell(cli, &campaign, &letters, out)
}

fn deciders(project: &Project, at: chrono::DateTime<chrono::Utc>) -> Deciders<'_> {
    Deciders { policy: &project.policy, facts: &project.facts, zones: &TzdbZones, at }
}

/// Stores a campaign, what follows from it for the facts, and its evidence, in this order: whatever is
/// missing after a crash is done by the next command.
fn keep(project: &mut Project, campaign: &Campaign, version: u64) -> Result<(), Failure> {
    project.save_campaign(campaign, version)?;
    if !campaign.apply(&mut project.facts).is_empty() {
        project.save()?;
    }
    project.evidence()?.with(|store| {
        store.add_review(campaign)?;
        store.seal().map(drop)
    })?;
    Ok(())
}

fn tell(cli: &Cli, campaign: &Campaign, letters: &[Letter], out: &Out) -> Result<u8, Failure> {
    let items = campaign.items().iter();
    if cli.json {
        let items: Vec<_> = items
            .map(|(id, item)| {
                let word = campaign.words().get(id);
                json!({
                    "item": id,
                    "identity": item.identity,
                    "entitlement": item.entitlement,
                    "reasons": item.reasons,
                    "keep": word.map(|word| word.keep),
                    "by": word.and_then(|word| word.by.clone()),
                })
            })
            .collect();
        let letters: Vec<_> = letters
            .iter()
            .map(|it| json!({ "to": it.to, "items": it.items, "again": it.again }))
            .collect();
        out.json(&json!({
            "version": 1,
            "campaign": campaign.rules().id,
            "due": campaign.rules().due,
            "closed": campaign.closed(),
            "items": items,
            "letters": letters,
        }));
        return Ok(OK);
    }
    let open = campaign.items().len() - campaign.words().len();
    let state = campaign.closed().map_or_else(
        || format!("open until {}", campaign.rules().due.format("%Y-%m-%d")),
        |at| format!("ended {}", at.format("%Y-%m-%d")),
    );
    out.line(format!(
        "review `{}`, {state}: {open} of {} undecided",
        campaign.rules().id,
        items.len()
    ));
    for (id, item) in items {
        let said = campaign.words().get(id).map_or_else(
            || {
                let nobody = campaign.without_reviewer().contains(id);
                if nobody { "open, AND NOBODY CAN DECIDE" } else { "open" }.to_owned()
            },
            |word| {
                let what = if word.keep { "kept" } else { "revoked" };
                let by = word.by.as_ref().map_or("by default".to_owned(), |by| format!("by {by}"));
                format!("{what} {by}: {}", word.why)
            },
        );
        let why: Vec<String> = item.reasons.iter().map(ToString::to_string).collect();
        out.line(format!(
            "  {id:>4}  {} {} ({}): {said}",
            item.identity,
            item.entitlement,
            why.join("; ")
        ));
    }
    for letter in letters {
        let how = if letter.again { "remind" } else { "ask" };
        let items: Vec<String> = letter.items.iter().map(ToString::to_string).collect();
        out.line(format!("{how} {} about {}", letter.to, items.join(", ")));
    }
    if !campaign.words().is_empty() {
        out.line("`jmlctl apply` carries out what was decided");
    }
    Ok(OK)
}
