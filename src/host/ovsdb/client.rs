//! A connection to a server, and the methods of RFC 7047 section 4.1.

use super::error::OvsdbError;
use super::schema::{Requirement, Schema};
use super::target::Target;
use super::tls::TlsFiles;
use super::transaction::{OpResult, Outcomes, Transaction};
use super::{stream, transport};
use jsonrpsee_core::client::{Client as RpcClient, ClientBuilder, ClientT};
use jsonrpsee_core::traits::ToRpcParams;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// How many notifications may wait to be read. When there are more, the monitor ends and has to begin anew.
const NOTIFICATIONS: usize = 1 << 16;

/// How a server is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Certificates, for `ssl:` targets.
    pub tls: Option<TlsFiles>,
    /// How long connecting may take, and the answer to the first question: whether the database is what is needed.
    pub connect_timeout: Duration,
    /// How long a request may take. The time in a transaction's `wait` operations counts.
    pub request_timeout: Duration,
}

impl Default for ConnectOptions {
    /// No certificates, five seconds to connect, sixty for a request.
    fn default() -> Self {
        Self { tls: None, connect_timeout: Duration::from_secs(5), request_timeout: Duration::from_mins(1) }
    }
}

/// A connection to a server. When it is lost, every request fails with [`OvsdbError::is_disconnected`], and a new client
/// has to be made.
#[derive(Debug)]
pub struct Client {
    pub(super) rpc: RpcClient,
    options: ConnectOptions,
}

/// Parameters that are written already.
struct Written(Box<RawValue>);

impl ToRpcParams for Written {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        Ok(Some(self.0))
    }
}

impl Client {
    /// Connects to a server. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When there is no server, or a certificate can't be used.
    pub async fn connect(target: &Target, options: &ConnectOptions) -> Result<Self, OvsdbError> {
        let stream = stream::connect(target, options.tls.as_ref(), options.connect_timeout).await?;
        let (sender, receiver) = transport::over(stream);
        let rpc = ClientBuilder::default()
            .request_timeout(options.request_timeout)
            .max_buffer_capacity_per_subscription(NOTIFICATIONS)
            .disable_ws_ping()
            .build_with_tokio(sender, receiver);
        Ok(Self { rpc, options: options.clone() })
    }

    /// As [`Client::connect`], and sees to it that the database has what is needed; gives its schema.
    ///
    /// # Errors
    /// As [`Client::connect`]; when the server has no such database, or that lacks something.
    pub async fn connect_to(
        target: &Target,
        options: &ConnectOptions,
        requirement: &Requirement,
    ) -> Result<(Self, Schema), OvsdbError> {
        let client = Self::connect(target, options).await?;
        // A server that hangs takes connections all the same.
        let asked = tokio::time::timeout(options.connect_timeout, client.get_schema(requirement.database()));
        let silent = |_| OvsdbError::Silent { method: "get_schema".to_owned(), after: options.connect_timeout };
        let schema = asked.await.map_err(silent)??;
        schema.check(requirement)?;
        Ok((client, schema))
    }

    pub(super) async fn request<R: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &impl Serialize,
    ) -> Result<R, OvsdbError> {
        let parameters = serde_json::value::to_raw_value(parameters)
            .map_err(|source| OvsdbError::Request { method: method.to_owned(), source })?;
        self.rpc
            .request(method, Written(parameters))
            .await
            .map_err(|error| OvsdbError::of_request(method, self.options.request_timeout, error))
    }

    /// The names of the server's databases.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn list_dbs(&self) -> Result<Vec<String>, OvsdbError> {
        self.request("list_dbs", &[(); 0]).await
    }

    /// A database's schema.
    ///
    /// # Errors
    /// When there is no such database, or the server does not answer.
    pub async fn get_schema(&self, database: &str) -> Result<Schema, OvsdbError> {
        self.request("get_schema", &[database]).await
    }

    /// Does a transaction; gives a result for each of its operations.
    ///
    /// # Errors
    /// When an operation fails, or all of them together: then nothing was done. When the connection is lost, it may have
    /// been done.
    ///
    /// # Cancel safety
    /// A transaction that was sent is done, whether or not anybody waits for the answer.
    pub async fn transact(&self, transaction: &Transaction) -> Result<Vec<OpResult>, OvsdbError> {
        let outcomes: Outcomes = self.request("transact", transaction).await?;
        transaction.results(outcomes)
    }

    /// Sees whether the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn echo(&self) -> Result<(), OvsdbError> {
        self.request::<serde::de::IgnoredAny>("echo", &["nslab"]).await.map(|_| ())
    }

    /// Asks for a lock (section 4.1.8); says whether it is ours at once. Where it isn't, the server will give it to us
    /// when it is free, unless [`Client::unlock`] is called or the connection ends before.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn lock(&self, lock: &str) -> Result<bool, OvsdbError> {
        #[derive(Deserialize)]
        struct Answer {
            locked: bool,
        }
        self.request("lock", &[lock]).await.map(|Answer { locked }| locked)
    }

    /// Gives a lock back, or gives up waiting for it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn unlock(&self, lock: &str) -> Result<(), OvsdbError> {
        self.request::<serde::de::IgnoredAny>("unlock", &[lock]).await.map(|_| ())
    }
}
