//! A client of OVSDB, the database protocol of Open vSwitch: RFC 7047 with the extensions of ovsdb-server(7).
//!
//! It knows the protocol and nothing of what is in the database: what the rows of Open vSwitch mean is `ovs`'s business.
//! JSON-RPC is jsonrpsee's, over a transport of our own, for OVSDB speaks JSON-RPC 1.0 without delimiters.
//!
//! ```no_run
//! use nslab::host::ovsdb::{Client, ConnectOptions, Condition, NamedUuid, Row, Target, Transaction};
//!
//! # async fn example() -> Result<(), nslab::host::ovsdb::OvsdbError> {
//! let target: Target = "unix:/run/openvswitch/db.sock".parse()?;
//! let client = Client::connect(&target, &ConnectOptions::default()).await?;
//!
//! // A bridge with its own port and interface, in one transaction: rows of the same one are referred to by name.
//! let [interface, port, bridge] = ["interface", "port", "bridge"].map(NamedUuid::new);
//! let mut transaction = Transaction::new("Open_vSwitch");
//! transaction.insert("Interface", Row::new().with("name", "br0").with("type", "internal"), Some(interface.clone()));
//! transaction.insert("Port", Row::new().with("name", "br0").with("interfaces", interface), Some(port.clone()));
//! transaction.insert("Bridge", Row::new().with("name", "br0").with("ports", port), Some(bridge.clone()));
//! transaction.mutate("Open_vSwitch", vec![], vec![("bridges", "insert", bridge).into()]);
//! transaction.select("Bridge", vec![Condition::equal("name", "br0")], &["_uuid", "name"]);
//! let results = client.transact(&transaction).await?;
//! println!("{:?}", results[4].rows);
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod frame;
mod message;
mod monitor;
mod operation;
mod replica;
mod row;
mod schema;
mod stream;
mod target;
mod tls;
mod transaction;
mod transport;
mod value;
mod watch;

pub use client::{Client, ConnectOptions};
pub use error::OvsdbError;
pub use frame::{FrameError, JsonFrames, MAX_MESSAGE_BYTES};
pub use monitor::{Monitor, MonitorRequest, RowChange, TableUpdates};
pub use operation::{Condition, Function, Mutation, Operation, Until};
pub use replica::Replica;
pub use row::{FromValue, Row, RowError};
pub use schema::{ColumnSchema, Requirement, Schema, SchemaError, TableSchema};
pub use target::{Target, TargetError};
pub use tls::TlsFiles;
pub use transaction::{OpResult, Transaction};
pub use value::{Atom, NamedUuid, Uuid, UuidError, Value};
pub use watch::{Event, Watch};
