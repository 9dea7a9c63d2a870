//! Journals in a PostgreSQL database: one store for any number of drivers on any number of machines.
//!
//! Two drivers on one run are fenced by the append, which compares and adds in one statement on the
//! server. Claims are advisory locks of one session, so they end with the process that holds them, and no
//! clock is asked. Entries are the canonical bytes that their digests are computed from, and triggers
//! refuse to change or delete them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::{Future as _, poll_fn};
use std::pin::pin;

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use jml_core::canon;
use jml_core::id::RunId;
use jml_core::journal::{Claim, Entry, Fact, JournalError, JournalStore};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, NoTls, Socket};

/// The version of the tables that this crate writes and reads.
const LAYOUT: i32 = 1;

/// Seed of the hash that turns a name into the number of an advisory lock: "jmlj".
const SEED: i64 = 0x6a6d_6c6a;

/// Made once, under a lock, by whoever opens the store first.
const CREATE: &str = "
    CREATE TABLE jml_layout (version integer NOT NULL);
    INSERT INTO jml_layout VALUES (1);
    CREATE TABLE jml_run (
        number bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        run    text    NOT NULL UNIQUE,
        length bigint  NOT NULL,
        closed boolean NOT NULL
    );
    CREATE INDEX jml_run_open ON jml_run (number) WHERE NOT closed;
    CREATE TABLE jml_entry (
        run  text   NOT NULL REFERENCES jml_run (run),
        seq  bigint NOT NULL,
        body bytea  NOT NULL,
        PRIMARY KEY (run, seq)
    );
    CREATE FUNCTION jml_append(of text, expected bigint, bodies bytea[], closes boolean)
    RETURNS bigint LANGUAGE plpgsql AS $$
    DECLARE found bigint;
    BEGIN
        IF expected = 0 THEN
            INSERT INTO jml_run (run, length, closed) VALUES (of, 0, false) ON CONFLICT DO NOTHING;
        END IF;
        SELECT length INTO found FROM jml_run WHERE run = of FOR UPDATE;
        found := coalesce(found, 0);
        IF found <> expected THEN RETURN found; END IF;
        INSERT INTO jml_entry (run, seq, body)
            SELECT of, expected + place - 1, body FROM unnest(bodies) WITH ORDINALITY AS t (body, place);
        UPDATE jml_run SET length = expected + cardinality(bodies), closed = closes WHERE run = of;
        RETURN found;
    END $$;
    CREATE FUNCTION jml_final() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'journal entries are never changed or deleted'; END $$;
    CREATE TRIGGER jml_entry_is_final BEFORE UPDATE OR DELETE ON jml_entry
        FOR EACH ROW EXECUTE FUNCTION jml_final();
    CREATE TRIGGER jml_entry_stays BEFORE TRUNCATE ON jml_entry
        FOR EACH STATEMENT EXECUTE FUNCTION jml_final();
";

/// Journals in a PostgreSQL database. Every append is one transaction that is on the server's disk when
/// the call returns.
///
/// It is opened within a tokio runtime of several threads, and works on that one ever after; its methods
/// may be called from anywhere.
pub struct PostgresStore {
    pool: Pool,
    claims: Claims,
    runtime: Handle,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("pool", &self.pool.status()).finish_non_exhaustive()
    }
}

/// A database cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The connection string cannot be understood. It is not repeated, because it may hold a password.
    #[error("the connection string of the journal store cannot be understood: {0}")]
    Config(String),
    /// The server cannot be reached, or does not let us in.
    #[error("the journal store cannot be opened: {0}")]
    Open(String),
    /// The tables were made by another version of this crate.
    #[error("the database holds a journal store of layout {found}, this version reads {LAYOUT}")]
    Layout {
        /// Which layout.
        found: i32,
    },
}

impl PostgresStore {
    /// Opens the store in a database on this machine or behind a protected network, without encryption.
    /// `config` is a URL or key-value string as `psql` takes it. Makes the tables if there are none;
    /// `search_path` among its options says in which schema.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open(config: &str) -> Result<Self, PostgresError> {
        Self::open_with(config, NoTls, 8).await
    }

    /// The same with encryption (`tls`, for instance of the crate `tokio-postgres-rustls`) and with so
    /// many connections for journals; claims take one more.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn open_with<T>(
        config: &str,
        tls: T,
        connections: usize,
    ) -> Result<Self, PostgresError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let runtime = Handle::try_current()
            .map_err(|_| PostgresError::Open("it needs a tokio runtime".to_owned()))?;
        let mut config: Config = config.parse().map_err(|e| PostgresError::Config(shown(&e)))?;
        // What an append acknowledges must survive, whatever the server's default is.
        let options = config.get_options().unwrap_or_default();
        config.options(format!("{options} -c synchronous_commit=on").trim());
        if config.get_application_name().is_none() {
            config.application_name("jml");
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let open = |e: &dyn std::error::Error| PostgresError::Open(shown(e));
        let pool = |size: usize| {
            let manager = Manager::from_config(config.clone(), tls.clone(), recycling.clone());
            Pool::builder(manager).max_size(size.max(1)).build().map_err(|e| open(&e))
        };
        let store = Self { pool: pool(connections)?, claims: Claims::start(pool(1)?), runtime };
        let mut client = store.pool.get().await.map_err(|e| open(&e))?;
        let tx = client.transaction().await.map_err(|e| open(&e))?;
        let lock = "SELECT pg_advisory_xact_lock($1)";
        tx.execute(lock, &[&SEED]).await.map_err(|e| open(&e))?;
        let there = tx.query_one("SELECT to_regclass('jml_layout') IS NOT NULL", &[]).await;
        if there.map_err(|e| open(&e))?.get(0) {
            let row = tx.query_one("SELECT version FROM jml_layout", &[]).await;
            let found: i32 = row.map_err(|e| open(&e))?.get(0);
            if found != LAYOUT {
                return Err(PostgresError::Layout { found });
            }
        } else {
            tx.batch_execute(CREATE).await.map_err(|e| open(&e))?;
        }
        tx.commit().await.map_err(|e| open(&e))?;
        drop(client);
        Ok(store)
    }

    async fn client(&self) -> Result<Object, JournalError> {
        // A new connection registers with the runtime that it is made in, so that has to be ours.
        let mut client = pin!(self.pool.get());
        let entered = poll_fn(|cx| {
            let _entered = self.runtime.enter();
            client.as_mut().poll(cx)
        });
        entered.await.map_err(|e| store(&e))
    }

    async fn list(&self, sql: &str) -> Result<Vec<RunId>, JournalError> {
        let rows = self.client().await?.query(sql, &[]).await.map_err(|e| store(&e))?;
        rows.iter().map(|row| RunId::new(row.get::<_, String>(0)).map_err(|e| store(&e))).collect()
    }
}

/// An error with its causes, of which the last one says what is wrong.
fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn store(error: &dyn std::error::Error) -> JournalError {
    JournalError::Store(shown(error))
}

#[async_trait]
impl JournalStore for PostgresStore {
    async fn append(
        &self,
        run: &RunId,
        expected: u64,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        let bodies: Vec<Vec<u8>> = entries
            .iter()
            .map(|entry| canon::to_vec(entry).map_err(|e| store(&e)))
            .collect::<Result<_, _>>()?;
        let closes = matches!(entries.last().map(|e| &e.fact), Some(Fact::Closed { .. }));
        let wanted = i64::try_from(expected).map_err(|e| store(&e))?;
        let client = self.client().await?;
        let sql = client.prepare_cached("SELECT jml_append($1, $2, $3, $4)").await;
        let sql = sql.map_err(|e| store(&e))?;
        let row = client.query_one(&sql, &[&run.as_str(), &wanted, &bodies, &closes]).await;
        let found: i64 = row.map_err(|e| store(&e))?.get(0);
        if found == wanted {
            return Ok(());
        }
        let found = found.unsigned_abs();
        Err(JournalError::Conflict { run: run.clone(), expected, found })
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Entry>, JournalError> {
        let client = self.client().await?;
        let sql = "SELECT seq, body FROM jml_entry WHERE run = $1 ORDER BY seq";
        let sql = client.prepare_cached(sql).await.map_err(|e| store(&e))?;
        let rows = client.query(&sql, &[&run.as_str()]).await.map_err(|e| store(&e))?;
        rows.iter()
            .map(|row| {
                let (seq, body): (i64, &[u8]) = (row.get(0), row.get(1));
                super::entry(run, seq.unsigned_abs(), body)
            })
            .collect()
    }

    async fn runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.list("SELECT run FROM jml_run ORDER BY number").await
    }

    async fn open_runs(&self) -> Result<Vec<RunId>, JournalError> {
        self.list("SELECT run FROM jml_run WHERE NOT closed ORDER BY number").await
    }

    async fn claim(&self, what: &str) -> Result<Option<Claim>, JournalError> {
        self.claims.claim(what).await
    }
}

/// Advisory locks of one session, kept by a task of its own so that giving one back needs no waiting. When
/// the session is lost, the server gives them all up, and whoever worked under them is fenced by the append.
struct Claims {
    asks: UnboundedSender<Ask>,
}

enum Ask {
    Claim(String, oneshot::Sender<Result<bool, JournalError>>),
    Release(String),
}

impl Claims {
    fn start(pool: Pool) -> Self {
        let (asks, heard) = unbounded_channel();
        tokio::spawn(Keeper { session: None, pool, held: BTreeSet::new() }.keep(heard));
        Self { asks }
    }

    async fn claim(&self, what: &str) -> Result<Option<Claim>, JournalError> {
        let (reply, answer) = oneshot::channel();
        let gone = || JournalError::Store("the task that keeps claims is gone".to_owned());
        self.asks.send(Ask::Claim(what.to_owned(), reply)).map_err(|_| gone())?;
        if !answer.await.map_err(|_| gone())?? {
            return Ok(None);
        }
        let (asks, name) = (self.asks.clone(), what.to_owned());
        Ok(Some(Claim::new(move || {
            // Nobody hears it any more: then the session is over, and the lock with it.
            let _ = asks.send(Ask::Release(name));
        })))
    }
}

struct Keeper {
    session: Option<Object>,
    pool: Pool,
    /// What this process holds: a session may take its own lock twice, two tasks of one process must not.
    held: BTreeSet<String>,
}

impl Keeper {
    async fn keep(mut self, mut asks: UnboundedReceiver<Ask>) {
        while let Some(ask) = asks.recv().await {
            match ask {
                Ask::Claim(name, reply) => {
                    let answer = self.claim(&name).await;
                    let taken = matches!(answer, Ok(true));
                    if reply.send(answer).is_err() && taken {
                        self.release(&name).await;
                    }
                }
                Ask::Release(name) => self.release(&name).await,
            }
        }
    }

    async fn claim(&mut self, name: &str) -> Result<bool, JournalError> {
        if self.held.contains(name) {
            return Ok(false);
        }
        let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, $2))";
        let taken = lock(self.session().await?, sql, name).await?;
        if taken {
            self.held.insert(name.to_owned());
        }
        Ok(taken)
    }

    async fn release(&mut self, name: &str) {
        self.held.remove(name);
        let sql = "SELECT pg_advisory_unlock(hashtextextended($1, $2))";
        let Some(session) = &self.session else { return };
        if lock(session, sql, name).await.is_err() {
            // Whatever is wrong with the session: taken out of the pool it ends, and its locks with it.
            self.session.take().map(Object::take);
        }
    }

    async fn session(&mut self) -> Result<&Client, JournalError> {
        if self.session.as_ref().is_none_or(|session| session.is_closed()) {
            self.session = None;
            self.session = Some(self.pool.get().await.map_err(|e| store(&e))?);
        }
        self.session
            .as_deref()
            .map(|client| &**client)
            .ok_or_else(|| JournalError::Store("no session for claims".to_owned()))
    }
}

async fn lock(client: &Client, sql: &str, name: &str) -> Result<bool, JournalError> {
    let row = client.query_one(sql, &[&name, &SEED]).await.map_err(|e| store(&e))?;
    Ok(row.get(0))
}
