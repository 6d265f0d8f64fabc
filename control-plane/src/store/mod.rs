//! The database seam: one SQL text for every engine, `$n` placeholders, values by [`Arg`], rows by [`Row`].
//!
//! SQLite is the engine today; another engine is another variant of [`Db`], [`Tx`] and [`Row`] and touches no
//! statement. Every statement on a tenant's table is bound to one tenant: on SQLite nothing else keeps them apart, and
//! `tests/tenants_stay_apart` reads them all.
//! One connection writes; a pool reads. A transaction is never held over a wait for anything but the database.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Executor as _, Row as _, SqlSafeStr, Sqlite, Transaction};
use trunkline_api::Id;

pub(crate) mod agents;
pub(crate) mod calls;
pub(crate) mod fleet;
pub(crate) mod keys;
mod migrate;
pub(crate) mod prices;
pub(crate) mod rating;
pub(crate) mod state;
pub(crate) mod upload;
pub(crate) mod usage;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine failed.
    #[error("database: {0}; check the disk's space and health, then the file's owner")]
    Engine(#[from] sqlx::Error),
    /// The database was made by a later version.
    #[error("database schema {found} is newer than this binary's {known}; start the later version again")]
    Newer {
        /// Schema in the file.
        found: i64,
        /// Schema this binary knows.
        known: i64,
    },
    /// A stored value is not what this version writes.
    #[error("database: stored {0} cannot be read; restore the last backup and report this")]
    Corrupt(&'static str),
    /// No random bytes or no secret file.
    #[error(transparent)]
    Secret(#[from] crate::secret::SecretError),
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// A value bound to a placeholder.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}
impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<&String> for Arg {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}
impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}
impl From<Option<&str>> for Arg {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}
impl From<&Id> for Arg {
    fn from(value: &Id) -> Self {
        Self::Text(Some(value.to_string()))
    }
}

/// Binds values in the order of their placeholders.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::Arg::from($value)),*] };
}
pub(crate) use args;

/// One row of an answer.
pub(crate) enum Row {
    Lite(SqliteRow),
}

impl Row {
    pub(crate) fn int(&self, column: &str) -> Result<i64> {
        let Self::Lite(row) = self;
        Ok(row.try_get(column)?)
    }

    pub(crate) fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        let Self::Lite(row) = self;
        Ok(row.try_get(column)?)
    }

    pub(crate) fn text(&self, column: &str) -> Result<String> {
        let Self::Lite(row) = self;
        Ok(row.try_get(column)?)
    }

    pub(crate) fn opt_text(&self, column: &str) -> Result<Option<String>> {
        let Self::Lite(row) = self;
        Ok(row.try_get(column)?)
    }

    pub(crate) fn id(&self, column: &str) -> Result<Id> {
        self.text(column)?.parse().map_err(|_| StoreError::Corrupt("id"))
    }

    pub(crate) fn json(&self, column: &str) -> Result<serde_json::Value> {
        serde_json::from_str(&self.text(column)?).map_err(|_| StoreError::Corrupt("JSON"))
    }
}

/// The database.
#[derive(Debug, Clone)]
pub enum Db {
    /// SQLite: one writer, several readers, WAL, synced at every commit.
    Lite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Connections that only read.
        readers: SqlitePool,
    },
}

/// A transaction that may write; dropped without [`Tx::commit`] it leaves nothing behind.
pub(crate) enum Tx {
    Lite(Transaction<'static, Sqlite>),
}

fn bind(
    sql: impl SqlSafeStr,
    args: Vec<Arg>,
) -> sqlx::query::Query<'static, Sqlite, <Sqlite as sqlx::Database>::Arguments> {
    let mut query = sqlx::query::<Sqlite>(sql);
    for arg in args {
        query = match arg {
            Arg::Int(value) => query.bind(value),
            Arg::Text(value) => query.bind(value),
        };
    }
    query
}

impl Db {
    /// Opens or makes the SQLite file and brings its schema up to date.
    pub async fn open(path: &Path) -> std::result::Result<Self, StoreError> {
        let db = Self::connect(path).await?;
        migrate::run(&db).await?;
        Ok(db)
    }

    /// Opens or makes the SQLite file with whatever schema it has.
    async fn connect(path: &Path) -> std::result::Result<Self, StoreError> {
        // SQLite gives its log the mode of the file, and the file the mode of the umask.
        trunkline_state_folder::reserve(path).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(256);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .idle_timeout(None)
                .max_lifetime(None)
                .acquire_timeout(Duration::from_secs(10))
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        let readers = pool(8).min_connections(1).connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Self::Lite { writer, readers })
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> std::result::Result<(), StoreError> {
        self.row("SELECT 1 AS one", vec![]).await?;
        Ok(())
    }

    /// Waits for statements in progress and closes the file, folding the log back into it.
    pub async fn close(&self) {
        let Self::Lite { writer, readers } = self;
        readers.close().await;
        writer.close().await;
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let Self::Lite { writer, .. } = self;
        Ok(Tx::Lite(writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    pub(crate) async fn rows(&self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>> {
        let Self::Lite { readers, .. } = self;
        Ok(bind(sql, args).fetch_all(readers).await?.into_iter().map(Row::Lite).collect())
    }

    /// The same for a statement put together from literals of this crate.
    pub(crate) async fn rows_of(&self, sql: String, args: Vec<Arg>) -> Result<Vec<Row>> {
        let Self::Lite { readers, .. } = self;
        Ok(bind(AssertSqlSafe(sql), args).fetch_all(readers).await?.into_iter().map(Row::Lite).collect())
    }

    pub(crate) async fn row(&self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>> {
        let Self::Lite { readers, .. } = self;
        Ok(bind(sql, args).fetch_optional(readers).await?.map(Row::Lite))
    }
}

impl Tx {
    /// Runs a statement; the number of rows it touched.
    pub(crate) async fn exec(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64> {
        let Self::Lite(tx) = self;
        Ok(bind(sql, args).execute(&mut **tx).await?.rows_affected())
    }

    /// Runs a script of several statements without values.
    async fn script(&mut self, sql: &'static str) -> Result<()> {
        let Self::Lite(tx) = self;
        tx.execute(sqlx::raw_sql(sql)).await?;
        Ok(())
    }

    pub(crate) async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>> {
        let Self::Lite(tx) = self;
        Ok(bind(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Lite).collect())
    }

    pub(crate) async fn row(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Option<Row>> {
        let Self::Lite(tx) = self;
        Ok(bind(sql, args).fetch_optional(&mut **tx).await?.map(Row::Lite))
    }

    /// Makes everything durable.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self::Lite(tx) = self;
        Ok(tx.commit().await?)
    }
}

/// Mints an id of now.
pub(crate) fn mint(prefix: trunkline_api::Prefix, now_us: i64) -> Result<Id> {
    Ok(Id::mint(prefix, u64::try_from(now_us / 1000).unwrap_or_default(), crate::secret::random()?))
}
