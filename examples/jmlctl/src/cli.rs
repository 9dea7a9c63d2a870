//! The command line.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Parser, Subcommand};

use crate::exit;

/// Plans, runs and proves what follows when people join, move and leave.
#[derive(Debug, Parser)]
#[command(name = "jmlctl", version, after_help = exit::TABLE)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The project's configuration.
    #[arg(long, global = true, default_value = "jml.toml")]
    pub(crate) config: PathBuf,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a small working project into a directory.
    Init {
        /// Where; made if it is not there.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Check every target: does it answer, are the clocks near, may we do what we would do.
    Doctor,
    /// Play one year of a made-up company and verify the evidence.
    Demo {
        /// Where to write; an earlier demo there is replaced.
        #[arg(long, default_value = "jml-demo")]
        dir: PathBuf,
        /// Let the targets stay afterwards, until Ctrl-C.
        #[arg(long)]
        serve: bool,
    },
    /// Show what would change, for whom and why. Writes nothing.
    Plan {
        #[command(flatten)]
        when: When,
        /// Also list what stays.
        #[arg(long)]
        keeps: bool,
    },
    /// Show what another policy would do to everybody: gains, losses, conflicts of duties, brakes. Writes nothing.
    WhatIf {
        /// The proposed policy.
        policy: PathBuf,
        /// Feeds of earlier days to replay under it, too: a folder of files named like 2026-03-31.csv.
        #[arg(long, value_name = "FOLDER")]
        history: Option<PathBuf>,
        #[command(flatten)]
        when: When,
    },
    /// Say why somebody has an entitlement, why not, and what would take it away.
    Explain {
        /// The person's id.
        person: String,
        /// The entitlement, provider/kind/id; all of the person's if left out.
        entitlement: Option<String>,
        #[command(flatten)]
        when: When,
    },
    /// Run the plan over copies of the targets.
    Simulate {
        #[command(flatten)]
        when: When,
    },
    /// Read the feed, plan, ask the brakes, and run.
    Apply {
        /// Let exactly this batch pass a brake, by the name that `plan` printed.
        #[arg(long = "override", value_name = "BATCH", requires_all = ["by", "why"])]
        batch: Option<String>,
        /// Who lets it pass.
        #[arg(long)]
        by: Option<String>,
        /// Why.
        #[arg(long)]
        why: Option<String>,
    },
    /// Decide at a gate.
    Approve {
        /// The run, as `status` shows it.
        run: String,
        /// The gate, as `status` shows it.
        gate: String,
        /// Who decides.
        #[arg(long)]
        by: String,
        /// Why.
        #[arg(long)]
        why: String,
        /// Refuse instead.
        #[arg(long)]
        refuse: bool,
    },
    /// Say that a task is done.
    Done {
        /// The run, as `status` shows it.
        run: String,
        /// The step, as `status` shows it.
        step: String,
        /// Who did it.
        #[arg(long)]
        by: String,
        /// What shows that it is done.
        #[arg(long)]
        proof: String,
    },
    /// Go on with whatever was interrupted.
    Resume,
    /// Show open runs, what they wait for, and the latest ones.
    Status,
    /// Show one run as it went.
    Show {
        /// The run, as `status` shows it.
        run: String,
        /// Print its plan as a graph in the DOT language instead.
        #[arg(long)]
        dot: bool,
    },
    /// Show accounts that belong to nobody known, or perhaps to somebody.
    Orphans {
        /// Also note them in the evidence.
        #[arg(long)]
        record: bool,
    },
    /// Verify the evidence of the project, or a pack that somebody was given.
    Verify(VerifyArgs),
    /// Make what an auditor asks for: a population, a sample of it, a pack with proofs.
    #[command(subcommand)]
    Audit(Audit),
    /// Ask people whether access is still needed.
    #[command(subcommand)]
    Review(Review),
    /// Look after the evidence: anchors, keys, holds, erasure.
    #[command(subcommand)]
    Evidence(Evidence),
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// A checkpoint that was kept from before; the log must continue it.
    #[arg(long)]
    pub(crate) earlier: Option<PathBuf>,
    /// A pack to verify instead of the project. Needs no project.
    #[arg(long, requires = "key")]
    pub(crate) pack: Option<PathBuf>,
    /// The public key of the log, name+hash+key, got from somewhere else than the pack.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The public key of a witness that you trust; may be given more than once.
    #[arg(long = "witness", value_name = "KEY")]
    pub(crate) witnesses: Vec<String>,
    /// How many of the witnesses must have signed.
    #[arg(long, default_value_t = 1)]
    pub(crate) quorum: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Seal who belongs to an event in a period, compared with the feed.
    Population {
        /// joiner, mover or leaver.
        event: String,
        /// First day, UTC.
        #[arg(long)]
        from: NaiveDate,
        /// Last day, UTC.
        #[arg(long)]
        to: NaiveDate,
    },
    /// Draw a sample from a sealed population with the auditor's seed.
    Sample {
        /// The entry that `population` printed.
        population: u64,
        /// What the auditor says after the population was sealed.
        #[arg(long)]
        seed: String,
        /// How many.
        #[arg(long, default_value_t = 25)]
        size: u64,
    },
    /// Write a pack: records of the sample with proofs, workpaper, report, verifiers.
    Pack {
        /// The entry that `population` printed.
        population: u64,
        /// The entry that `sample` printed; everybody if left out.
        #[arg(long)]
        sample: Option<u64>,
        /// Values to open, such as identity,actor,before,after,why; nothing if left out.
        #[arg(long, value_delimiter = ',')]
        disclose: Vec<String>,
        /// Limits to look at: fedramp-high, fedramp-moderate, pci, ipsie, hipaa-proposed.
        #[arg(long, value_delimiter = ',')]
        limits: Vec<String>,
        /// Checkpoints that the auditor kept; the pack proves that it continues them.
        #[arg(long)]
        earlier: Vec<PathBuf>,
        /// A title for people.
        #[arg(long, default_value = "Identity lifecycle evidence")]
        title: String,
        /// Where; must not be there or be empty.
        out: PathBuf,
    },
    /// Show how far the records cover each framework's controls.
    Coverage {
        /// One framework in detail, such as soc2 or iso-27001-2022.
        framework: Option<String>,
    },
    /// Show how soon each target did what was asked of it.
    Timeliness {
        /// Limits to look at.
        #[arg(long, value_delimiter = ',')]
        limits: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Review {
    /// Open a campaign over what everybody has by the policy and the facts.
    Open {
        /// Its name.
        id: String,
        /// The day at whose start it ends, UTC. What nobody spoke for by then is taken away.
        #[arg(long)]
        due: NaiveDate,
        /// Who opens it.
        #[arg(long)]
        by: String,
        /// Who reviews: `manager`, `owner` of the entitlement, or ids of people.
        #[arg(long, value_delimiter = ',', default_value = "manager")]
        reviewers: Vec<String>,
        /// Who reviews where nobody of those is left, and in the last days.
        #[arg(long, value_delimiter = ',')]
        fallback: Vec<String>,
        /// Only what is at least so harmful: standard, sensitive, privileged, critical.
        #[arg(long, default_value = "standard")]
        at_least: String,
        /// Only what no rule and no role gives.
        #[arg(long)]
        beyond_roles: bool,
    },
    /// Show a campaign: what is decided, what is open, who decides.
    Show {
        /// Its name.
        id: String,
    },
    /// Say whether something is still needed.
    Decide {
        /// The campaign's name.
        id: String,
        /// The item, as `show` prints it.
        item: u32,
        /// Who decides.
        #[arg(long)]
        by: String,
        /// Why.
        #[arg(long)]
        why: String,
        /// It is not needed: take it away.
        #[arg(long)]
        revoke: bool,
    },
    /// Do what is due: ask, remind, end. For a daily timer.
    Tick {
        /// Its name.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Say that the log is alive, also when nothing happened. For a daily timer.
    Heartbeat,
    /// Put the present checkpoint where the log's owner cannot change it later.
    Anchor {
        /// A write-once directory: a share, an auditor's folder.
        #[arg(long)]
        drop: PathBuf,
    },
    /// Forbid to erase somebody until the hold is released.
    Hold {
        /// The person's id.
        person: String,
        /// The case.
        #[arg(long)]
        case: String,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
    /// End a hold.
    Release {
        /// The person's id.
        person: String,
        /// The hold, as `hold` printed it.
        hold: String,
        /// Who says so.
        #[arg(long)]
        by: String,
    },
    /// Erase what the evidence says about somebody. Proofs stay; values go for ever.
    Erase {
        /// The person's id.
        person: String,
        /// On what ground.
        #[arg(long)]
        basis: String,
        /// Who approved it: at least two, and not the person.
        #[arg(long = "by", required = true)]
        approved_by: Vec<String>,
    },
    /// Let values go that are older than so many days: whole plans, accounts before and after.
    Expire {
        /// Days to keep.
        #[arg(long)]
        days: i64,
        /// Also who, why and who approved it, not only the details.
        #[arg(long)]
        proof: bool,
    },
    /// Change the log's key: the old one hands over to a new one.
    RotateKey,
}

#[derive(Args, Debug)]
pub(crate) struct When {
    /// Plan for this instant instead of now.
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at: Option<DateTime<Utc>>,
}
