//! Between JSON-RPC 2.0, which jsonrpsee speaks, and 1.0, which OVSDB servers do (RFC 7047 section 4). What is inside a
//! message is passed on as it is, not read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// JSON-RPC 2.0's range for errors of the server's own; OVSDB's have no code.
const SERVER_ERROR: i32 = -32000;

/// What came from the server.
pub(super) enum Incoming {
    /// A response or a notification, as JSON-RPC 2.0 has it.
    ForClient(String),
    /// The reply that a request of the server's own wants.
    Reply(String),
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// A member `jsonrpc` ends the connection, as do missing `params`.
#[derive(Serialize, Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Reply<'a> {
    id: &'a RawValue,
    result: Option<&'a RawValue>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ResponseError<'a>>,
}

#[derive(Serialize)]
struct ResponseError<'a> {
    code: i32,
    message: &'static str,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: NotificationParams<'a>,
}

/// In an object of our own: jsonrpsee would take `["id", {…}]` for a subscription's payload, and drop it.
#[derive(Serialize, Deserialize)]
pub(super) struct NotificationParams<'a> {
    #[serde(borrow)]
    pub(super) ovsdb: &'a RawValue,
}

/// A request of jsonrpsee's as the server wants it.
pub(super) fn outgoing(message: &str) -> serde_json::Result<String> {
    let request: Request<'_> = serde_json::from_str(message)?;
    let none = serde_json::from_str("[]")?;
    serde_json::to_string(&Request { params: request.params.or(Some(none)), ..request })
}

/// A message of the server's as jsonrpsee wants it, or the reply to it.
pub(super) fn incoming(message: &[u8]) -> serde_json::Result<Incoming> {
    let null: &RawValue = serde_json::from_str("null")?;
    let Received { id, method, params, result, error } = serde_json::from_slice(message)?;
    let Some(method) = method else {
        let error = error.map(|data| ResponseError { code: SERVER_ERROR, message: "OVSDB", data });
        let result = if error.is_some() { None } else { Some(result.unwrap_or(null)) };
        let response = Response { jsonrpc: "2.0", id: id.unwrap_or(null), result, error };
        return serde_json::to_string(&response).map(Incoming::ForClient);
    };
    match id {
        None => {
            let params = NotificationParams { ovsdb: params.unwrap_or(null) };
            let notification = Notification { jsonrpc: "2.0", method: &method, params };
            serde_json::to_string(&notification).map(Incoming::ForClient)
        }
        // Section 4.1.11: either side may ask, and the other sends back what it was sent.
        Some(id) if method == "echo" => {
            serde_json::to_string(&Reply { id, result: params, error: None }).map(Incoming::Reply)
        }
        Some(id) => {
            serde_json::to_string(&Reply { id, result: None, error: Some("unknown method") }).map(Incoming::Reply)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_server(text: &str) -> String {
        match incoming(text.as_bytes()).unwrap() {
            Incoming::ForClient(text) => text,
            Incoming::Reply(text) => format!("reply {text}"),
        }
    }

    #[test]
    fn messages_are_translated_and_what_is_inside_is_not_touched() {
        assert_eq!(
            outgoing(r#"{"jsonrpc":"2.0","id":7,"method":"transact","params":["db", {"a" :1.50}]}"#).unwrap(),
            r#"{"id":7,"method":"transact","params":["db", {"a" :1.50}]}"#
        );
        assert_eq!(
            outgoing(r#"{"jsonrpc":"2.0","id":0,"method":"list_dbs"}"#).unwrap(),
            r#"{"id":0,"method":"list_dbs","params":[]}"#
        );
        assert_eq!(
            from_server(r#"{"id":7,"result":[{"rows":[]}],"error":null}"#),
            r#"{"jsonrpc":"2.0","id":7,"result":[{"rows":[]}]}"#
        );
        assert_eq!(
            from_server(r#"{"id":7,"result":null,"error":"unknown database"}"#),
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"OVSDB","data":"unknown database"}}"#
        );
        assert_eq!(
            from_server(r#"{"id":null,"method":"update2","params":["m",{}]}"#),
            r#"{"jsonrpc":"2.0","method":"update2","params":{"ovsdb":["m",{}]}}"#
        );
    }

    #[test]
    fn the_servers_own_requests_are_answered() {
        assert_eq!(
            from_server(r#"{"id":"echo","method":"echo","params":[1]}"#),
            r#"reply {"id":"echo","result":[1],"error":null}"#
        );
        assert_eq!(
            from_server(r#"{"id":3,"method":"stolen","params":[]}"#),
            r#"reply {"id":3,"result":null,"error":"unknown method"}"#
        );
        assert!(incoming(b"{\"id\":}").is_err());
    }
}
