//! Defects in descriptors, outcomes, previews, conditions, feeds, health.

use jml_core::provider::{
    Call, Contract, Effect, ErrorKind, Expect, Fidelity, Health, MailboxPart, Observation,
    Operation, Outcome, PendingRef, Preview, Reply, SupportMode, Verb, Watermark,
};

use super::{Kind, Mutant, bugs, error, lock, op};

/// Defects in calls, and those in descriptors.
pub(super) fn all() -> Vec<Mutant> {
    let mut all = calls::all();
    all.extend([
        Mutant {
            name: "descriptor_drifts",
            what: "The descriptor changes with the first call.",
            kind: Kind::Drift,
        },
        Mutant {
            name: "batch_stops_at_a_failure",
            what: "A batch gives no answer after its first failure.",
            kind: Kind::BatchStops,
        },
        Mutant {
            name: "undeclared_verb_works",
            what: "A verb that is not declared is carried out.",
            kind: Kind::Descriptor(|descriptor| {
                for part in MailboxPart::ALL {
                    descriptor.verbs.remove(&Verb::SetMailbox(part));
                }
                descriptor.verbs.remove(&Verb::UpdateAccount);
            }),
        },
        Mutant {
            name: "kinds_are_not_declared",
            what: "What can be held is of no declared kind.",
            kind: Kind::Descriptor(|descriptor| descriptor.kinds.clear()),
        },
        Mutant {
            name: "permissions_are_not_named",
            what: "No verb says which permission it needs.",
            kind: Kind::Descriptor(|descriptor| {
                descriptor.verbs.values_mut().for_each(|support| support.permissions.clear());
            }),
        },
        Mutant {
            name: "contract_is_another",
            what: "It is written against a contract that does not exist yet.",
            kind: Kind::Descriptor(|descriptor| {
                descriptor.contract = Contract { major: 9, minor: 0 };
            }),
        },
        Mutant {
            name: "claims_that_disabling_strips",
            what: "It declares that disabling takes everything away, and it does not.",
            kind: Kind::Descriptor(|descriptor| descriptor.disabled_keeps_holdings = false),
        },
        Mutant {
            name: "claims_to_refuse_disabled_accounts",
            what: "It declares that disabled accounts get nothing, and they do.",
            kind: Kind::Descriptor(|descriptor| descriptor.disabled_accepts_grants = false),
        },
        Mutant {
            name: "claims_to_lose_mail",
            what: "It declares that disabled accounts get no mail, and they do.",
            kind: Kind::Descriptor(|descriptor| descriptor.disabled_keeps_mail = false),
        },
        Mutant {
            name: "declares_what_it_cannot",
            what: "It declares a verb as carried out by calls that people carry out.",
            kind: Kind::Descriptor(|descriptor| {
                for support in descriptor.verbs.values_mut() {
                    if support.mode == SupportMode::Manual {
                        support.mode = SupportMode::Native;
                    }
                }
            }),
        },
    ]);
    all
}

/// A preview that sees nothing and promises everything.
fn rosy() -> Reply {
    let (before, after) = (Observation::NotObserved, Observation::NotObserved);
    Reply::Preview(Box::new(Preview::new(Effect::Changed, before, after, Fidelity::Simulated)))
}

mod calls {
    use super::*;

    bugs! {
        /// A declared verb answers that it is not supported.
        declared_verb_is_unsupported |cx, call, next, memo| {
            match op(call) {
                Some((Operation::Exchange { .. } | Operation::SetStatus { .. }, _)) => {
                    error(ErrorKind::Unsupported)
                }
                _ => next.run(cx, call).await,
            }
        }
        /// Every success is a change.
        effect_is_always_changed |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Outcome(outcome) = &mut reply {
                outcome.effect = Effect::Changed;
            }
            Ok(reply)
        }
        /// No success is a change.
        effect_is_never_changed |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Outcome(outcome) = &mut reply {
                outcome.effect = Effect::Unchanged;
            }
            Ok(reply)
        }
        /// A creation does not say which account it made.
        creation_names_no_account |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let (Reply::Outcome(outcome), Call::Apply(change)) = (&mut reply, call)
                && change.op.makes_account()
            {
                outcome.account = None;
            }
            Ok(reply)
        }
        /// What went with a change is not told.
        side_effects_are_hidden |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Outcome(outcome) = &mut reply {
                outcome.side_effects.clear();
            }
            Ok(reply)
        }
        /// A preview does it.
        preview_mutates |cx, call, next, memo| {
            if let Call::Preview(change) = call {
                let _ = next.run(cx, &Call::Apply(change.clone())).await;
            }
            next.run(cx, call).await
        }
        /// Every preview says that something would change.
        preview_always_changes |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Preview(preview) = &mut reply {
                preview.effect = Effect::Changed;
            }
            Ok(reply)
        }
        /// A preview shows what is now as what will be.
        preview_shows_the_present |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Preview(preview) = &mut reply {
                preview.after = preview.before.clone();
            }
            Ok(reply)
        }
        /// A preview never fails.
        preview_never_fails |cx, call, next, memo| {
            match (next.run(cx, call).await, call) {
                (Err(_), Call::Preview(_)) => {
                    Ok(rosy())
                }
                (result, _) => result,
            }
        }
        /// A preview claims that the target checked it.
        preview_claims_too_much |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Preview(preview) = &mut reply {
                preview.fidelity = Fidelity::ServerValidated;
            }
            Ok(reply)
        }
        /// The expected version is not looked at.
        stale_version_is_accepted |cx, call, next, memo| {
            match call {
                Call::Apply(change) => {
                    let mut change = change.clone();
                    change.expect = Expect::Any;
                    next.run(cx, &Call::Apply(change)).await
                }
                _ => next.run(cx, call).await,
            }
        }
        /// A change with an expected version is always refused.
        fresh_version_is_refused |cx, call, next, memo| {
            match call {
                Call::Apply(change) if change.expect != Expect::Any => error(ErrorKind::Conflict),
                _ => next.run(cx, call).await,
            }
        }
        /// The feed leaves out the first change.
        feed_misses_a_change |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Changes(page) = &mut reply
                && !page.rows.is_empty()
            {
                page.rows.remove(0);
            }
            Ok(reply)
        }
        /// The feed never gets past a change.
        feed_stands_still |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let (Reply::Changes(page), Call::Changes(Some(mark))) = (&mut reply, call) {
                page.next = mark.clone();
            }
            Ok(reply)
        }
        /// The feed gives each change once, whoever asks.
        feed_tells_once |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let (Reply::Changes(page), Call::Changes(Some(mark))) = (&mut reply, call)
                && !memo.first(mark.0.as_str())
            {
                page.rows.clear();
            }
            Ok(reply)
        }
        /// Deletions are not in the feed.
        feed_hides_deletions |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Changes(page) = &mut reply {
                page.rows.retain(|row| row.now != Observation::Absent);
            }
            Ok(reply)
        }
        /// A watermark that is not known reads as "nothing happened".
        forgotten_watermark_is_empty |cx, call, next, memo| {
            match next.run(cx, call).await {
                Err(_) if matches!(call, Call::Changes(_)) => next.run(cx, &Call::Changes(None)).await,
                result => result,
            }
        }
        /// Watermarks are numbers of this instance.
        watermark_is_local |cx, call, next, memo| {
            let real = match call {
                Call::Changes(Some(mark)) => match lock(&memo.seen).get(mark.0.as_str()) {
                    Some(Reply::Changes(page)) => Call::Changes(Some(page.next.clone())),
                    _ => call.clone(),
                },
                other => other.clone(),
            };
            let mut reply = next.run(cx, &real).await?;
            if let Reply::Changes(page) = &mut reply {
                let mark = format!("mark-{}", memo.number());
                lock(&memo.seen).insert(mark.clone(), Reply::Changes(page.clone()));
                page.next = Watermark(mark.into());
            }
            Ok(reply)
        }
        /// A healthy target is reported as lacking a permission.
        health_is_never_good |cx, call, next, memo| {
            match call {
                Call::Health => Ok(Reply::Health(Health::ok().missing("everything"))),
                _ => next.run(cx, call).await,
            }
        }
        /// A change that people carry out has no handle.
        pending_has_no_handle |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let Reply::Outcome(outcome) = &mut reply {
                outcome.pending = None;
            }
            Ok(reply)
        }
        /// A change that people carry out never ends.
        pending_never_ends |cx, call, next, memo| {
            match call {
                Call::Poll(handle) => {
                    next.run(cx, call).await?;
                    Ok(Outcome::pending(handle.clone()).into())
                }
                _ => next.run(cx, call).await,
            }
        }
        /// Every time somebody asks, a change that people carry out is another one.
        pending_handle_is_new_each_time |cx, call, next, memo| {
            let mut reply = next.run(cx, call).await?;
            if let (Reply::Outcome(outcome), Call::Apply(_)) = (&mut reply, call)
                && outcome.pending.is_some()
                && memo.number() > 1
            {
                outcome.pending = Some(PendingRef(format!("again-{}", memo.number()).into()));
            }
            Ok(reply)
        }
        /// Asking for a pending change ends it.
        asking_ends_it |cx, call, next, memo| {
            let reply = next.run(cx, call).await?;
            let asked = matches!(call, Call::Poll(_)) && memo.number() > 1;
            if asked { Ok(Outcome::changed().into()) } else { Ok(reply) }
        }
        /// A handle that nobody knows is done.
        unknown_handle_is_done |cx, call, next, memo| {
            match next.run(cx, call).await {
                Err(_) if matches!(call, Call::Poll(_)) => Ok(Outcome::changed().into()),
                result => result,
            }
        }
        /// A preview of a verb that is not declared succeeds.
        preview_of_anything |cx, call, next, memo| {
            match (next.run(cx, call).await, call) {
                (Err(e), Call::Preview(_)) if e.kind() == ErrorKind::Unsupported => {
                    Ok(rosy())
                }
                (result, _) => result,
            }
        }
    }
}
