//! The command line.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
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
    /// Play one year of a made-up company and verify the evidence.
    Demo {
        /// Where to write; an earlier demo there is replaced.
        #[arg(long, default_value = "jml-demo")]
        dir: PathBuf,
    },
    /// Show what would change, for whom and why. Writes nothing.
    Plan {
        #[command(flatten)]
        when: When,
        /// Also list what stays.
        #[arg(long)]
        keeps: bool,
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
    Orphans,
    /// Verify the evidence.
    Verify {
        /// A checkpoint that was kept from before; the log must continue it.
        #[arg(long)]
        earlier: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct When {
    /// Plan for this instant instead of now.
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at: Option<DateTime<Utc>>,
}
