//! The OVSDB client against the real ovsdb-server.

use crate::support::ovs::OpenVswitch;
use crate::support::{ThrowAwayHost, wait_until};
use futures_util::{Stream, StreamExt};
use nslab::host::ovsdb::{
    Client, Condition, ConnectOptions, Event, Function, MonitorRequest, NamedUuid, Operation, OvsdbError, Requirement,
    Row, Target, TlsFiles, Transaction, Until, Uuid, Watch,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const DATABASE: &str = "Open_vSwitch";

fn local() -> Target {
    Target::local(None)
}

async fn connected() -> Client {
    Client::connect(&local(), &ConnectOptions::default()).await.unwrap()
}

fn needed() -> Requirement {
    Requirement::new(DATABASE, "use a newer one").table("Bridge", &["name", "ports", "external_ids"])
}

/// A transaction that makes bridges, each with its own port.
fn bridges(names: &[&str]) -> Transaction {
    let mut transaction = Transaction::new(DATABASE);
    let mut made = Vec::new();
    for name in names {
        let [interface, port, bridge] =
            ["interface", "port", "bridge"].map(|what| NamedUuid::new(&format!("{what}_{name}")));
        let row = Row::new().with("name", *name).with("type", "internal");
        transaction.insert("Interface", row, Some(interface.clone()));
        transaction.insert("Port", Row::new().with("name", *name).with("interfaces", interface), Some(port.clone()));
        let ids = BTreeMap::from([("made-by", "test")]);
        let row = Row::new().with("name", *name).with("ports", port).with("external_ids", ids);
        let insert = Operation::Insert { table: "Bridge".into(), row, uuid_name: Some(bridge.clone()) };
        transaction.push(insert, format!("add the bridge {name}"));
        made.push(bridge);
    }
    transaction.mutate(DATABASE, vec![], vec![("bridges", "insert", made).into()]);
    transaction
}

#[test]
fn every_operation_does_what_it_says() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::database(host);
        host.sh("ovs-vsctl --no-wait init");
        host.block_on(async {
            let client = connected().await;
            client.echo().await.unwrap();
            assert!(client.list_dbs().await.unwrap().contains(&DATABASE.to_owned()));
            assert_eq!(client.get_schema(DATABASE).await.unwrap().name, DATABASE);

            // insert, by name within the transaction; mutate
            let results = client.transact(&bridges(&["b0", "b1"])).await.unwrap();
            let b0 = results[2].uuid.unwrap();
            assert_eq!(results[6].count, 1);
            // update, select, comment, commit
            let mut transaction = Transaction::new(DATABASE);
            transaction.update("Bridge", vec![Condition::is(b0)], Row::new().with("stp_enable", true));
            let by_mark = Condition::includes("external_ids", BTreeMap::from([("made-by", "test")]));
            let select = transaction.select("Bridge", vec![by_mark], &["name", "stp_enable", "ports", "fail_mode"]);
            transaction.comment("a test was here");
            transaction.push(Operation::Commit { durable: true }, "keep it");
            let results = client.transact(&transaction).await.unwrap();
            let mut rows: Vec<(String, bool)> = results[select]
                .rows
                .iter()
                .map(|row| (row.get("name").unwrap(), row.get("stp_enable").unwrap()))
                .collect();
            rows.sort();
            assert_eq!(rows, [("b0".to_owned(), true), ("b1".to_owned(), false)]);
            assert_eq!(results[select].rows[0].get::<Vec<Uuid>>("ports").unwrap().len(), 1);
            assert_eq!(results[select].rows[0].get::<Option<String>>("fail_mode").unwrap(), None);
            // wait that holds at once, and one whose time is up
            let wait = |until| Operation::Wait {
                timeout: Some(Duration::from_millis(100)),
                table: "Bridge".into(),
                conditions: vec![Condition::equal("name", "b0")],
                columns: vec!["stp_enable".into()],
                until,
                rows: vec![Row::new().with("stp_enable", true)],
            };
            let mut transaction = Transaction::new(DATABASE);
            transaction.push(wait(Until::Equal), "see b0");
            client.transact(&transaction).await.unwrap();
            transaction.push(wait(Until::NotEqual), "see b0 change");
            let error = client.transact(&transaction).await.unwrap_err();
            assert!(error.is_timed_out(), "{error}");
            assert!(error.to_string().starts_with("can't see b0 change: timed out"), "{error}");
            // abort undoes what was before it
            let mut transaction = Transaction::new(DATABASE);
            transaction.mutate(DATABASE, vec![], vec![("bridges", "delete", b0).into()]);
            transaction.push(Operation::Abort, "go on");
            assert_eq!(
                client.transact(&transaction).await.unwrap_err().to_string(),
                "can't go on: aborted (aborted by request)"
            );
            // assert: not ours, then ours
            let mut transaction = Transaction::new(DATABASE);
            transaction.push(Operation::Assert { lock: "mine".into() }, "be alone");
            assert!(client.transact(&transaction).await.unwrap_err().to_string().contains("not owner"));
            assert!(client.lock("mine").await.unwrap());
            assert!(!connected().await.lock("mine").await.unwrap());
            client.transact(&transaction).await.unwrap();
            client.unlock("mine").await.unwrap();
            // delete, and every function of a condition
            let mut transaction = Transaction::new(DATABASE);
            transaction.delete("QoS", vec![Condition::new("type", Function::NotEqual, "x")]);
            let functions = [Function::Less, Function::LessOrEqual, Function::GreaterOrEqual, Function::Greater];
            for function in functions {
                transaction.select(DATABASE, vec![Condition::new("next_cfg", function, 0)], &["next_cfg"]);
            }
            transaction.select("Bridge", vec![Condition::new("name", Function::Excludes, "b0")], &["name"]);
            let results = client.transact(&transaction).await.unwrap();
            assert_eq!(results[1..].iter().map(|r| r.rows.len()).collect::<Vec<_>>(), [0, 1, 1, 0, 1]);
        });
        // An independent witness.
        assert_eq!(host.sh("ovs-vsctl list-br"), "b0\nb1\n");
        let dump =
            host.sh("ovsdb-client dump --format=csv --no-headings Open_vSwitch Bridge name stp_enable external_ids");
        assert!(dump.contains("b0,true,{made-by=test}") || dump.contains("{made-by=test},b0,true"), "{dump}");
    });
}

#[test]
fn errors_are_told_with_the_operation_that_caused_them() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::database(host);
        host.sh("ovs-vsctl --no-wait init");
        host.block_on(async {
            let client = connected().await;
            client.transact(&bridges(&["b0"])).await.unwrap();
            // By an operation: a column of another type.
            let mut transaction = bridges(&["b1"]);
            let update =
                Operation::Update { table: "Bridge".into(), conditions: vec![], row: Row::new().with("stp_enable", 7) };
            transaction.push(update, "set the spanning tree of b0");
            let error = client.transact(&transaction).await.unwrap_err();
            assert!(matches!(&error, OvsdbError::Operation { index: 4, .. }), "{error:?}");
            assert!(error.to_string().starts_with("can't set the spanning tree of b0: "), "{error}");
            // At the commit: a name that is taken.
            let error = client.transact(&bridges(&["b0"])).await.unwrap_err();
            assert!(error.is_constraint_violation(), "{error}");
            assert!(
                matches!(&error, OvsdbError::Commit { labels, .. } if labels.contains("add the bridge b0")),
                "{error}"
            );
            // By the server as a whole.
            let error = client.transact(&Transaction::new("nothing")).await.unwrap_err();
            assert!(error.to_string().contains("refused `transact`: unknown database"), "{error}");
            // The connection is as good as before.
            client.echo().await.unwrap();
        });
    });
}

#[test]
fn a_server_that_is_not_there_or_goes_away_is_told() {
    ThrowAwayHost::run(|host| {
        host.block_on(async {
            let error = Client::connect(&local(), &ConnectOptions::default()).await.unwrap_err();
            assert!(error.is_absent() && error.is_disconnected(), "{error:?}");
            let error =
                Client::connect(&"tcp:127.0.0.1:1".parse().unwrap(), &ConnectOptions::default()).await.unwrap_err();
            assert!(error.is_absent(), "{error:?}");
            assert_eq!(error.to_string(), "can't reach the OVSDB server at tcp:127.0.0.1:1");
        });
        let mut ovs = OpenVswitch::database(host);
        host.block_on(async {
            let client = connected().await;
            ovs.hang_server(true);
            let impatient = ConnectOptions { request_timeout: Duration::from_millis(100), ..ConnectOptions::default() };
            let other = Client::connect(&local(), &impatient).await.unwrap();
            let error = other.echo().await.unwrap_err();
            assert_eq!(error.to_string(), "the OVSDB server did not answer `echo` in 100 ms");
            ovs.hang_server(false);
            client.echo().await.unwrap();
            ovs.kill_server();
            for _ in 0..2 {
                let error = client.echo().await.unwrap_err();
                assert!(error.is_disconnected(), "{error:?}");
            }
        });
        // Something that is no OVSDB server, and one that hangs up in the middle of a message.
        for (said, told) in
            [("HTTP/1.1 400 Bad Request\r\n", "no OVSDB server"), ("{\"id\":0,", "in the middle of a message")]
        {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let target = format!("tcp:{}", listener.local_addr().unwrap()).parse().unwrap();
            let server = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(said.as_bytes()).unwrap();
            });
            host.block_on(async {
                let client = Client::connect(&target, &ConnectOptions::default()).await.unwrap();
                let error = client.echo().await.unwrap_err();
                let mut whole = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(error) = cause {
                    whole = format!("{whole}: {error}");
                    cause = error.source();
                }
                assert!(error.is_disconnected() && whole.contains(told), "{whole}");
            });
            server.join().unwrap();
        }
    });
}

#[test]
fn a_database_that_lacks_something_is_refused_by_name() {
    ThrowAwayHost::run(|host| {
        let schema = host.scratch().join("old.ovsschema");
        let old = r#"{"name":"Open_vSwitch","version":"1.0.0","tables":{"Bridge":{"columns":{"name":{"type":"string"}},"isRoot":true}}}"#;
        std::fs::write(&schema, old).unwrap();
        let _ovs = OpenVswitch::with_schema(host, schema.to_str().unwrap());
        host.block_on(async {
            let needed = needed().table("Port", &["name"]);
            let error = Client::connect_to(&local(), &ConnectOptions::default(), &needed).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the database Open_vSwitch of schema version 1.0.0 has no column Bridge.ports, column Bridge.external_ids, \
                 table Port: use a newer one"
            );
            let elsewhere = Requirement::new("Hardware_VTEP", "");
            let error = Client::connect_to(&local(), &ConnectOptions::default(), &elsewhere).await.unwrap_err();
            assert!(error.to_string().contains("refused `get_schema`: unknown database"), "{error}");
        });
    });
}

async fn event(events: &mut (impl Stream<Item = Event> + Unpin)) -> Event {
    tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("an event comes").unwrap()
}

#[test]
fn a_watch_hears_of_changes_and_survives_the_server() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::database(host);
        host.sh("ovs-vsctl --no-wait init");
        host.block_on(async {
            let columns = ["name", "ports", "external_ids"].map(str::to_owned).to_vec();
            let requests = BTreeMap::from([("Bridge".to_owned(), MonitorRequest { columns, conditions: vec![] })]);
            let mut watch = Watch::new(local(), ConnectOptions::default(), needed(), requests);
            let names = |watch: &Watch| -> Vec<String> {
                let mut all: Vec<String> =
                    watch.replica().rows("Bridge").map(|(_, row)| row.get("name").unwrap()).collect();
                all.sort();
                all
            };
            assert!(matches!(watch.next().await, Event::Connected));
            assert!(names(&watch).is_empty());

            host.sh("ovs-vsctl --no-wait add-br b0");
            assert!(matches!(watch.next().await, Event::Changed(_)));
            host.sh("ovs-vsctl --no-wait add-port b0 p0 -- set Bridge b0 external_ids:a=b external_ids:c=d");
            host.sh("ovs-vsctl --no-wait remove Bridge b0 external_ids a -- add-br b1");
            for _ in 0..2 {
                assert!(matches!(watch.next().await, Event::Changed(_)));
            }
            assert_eq!(names(&watch), ["b0", "b1"]);
            let b0 = watch.replica().rows("Bridge").find(|(_, row)| row.get("name") == Ok("b0".to_owned())).unwrap().1;
            assert_eq!(b0.get::<Vec<Uuid>>("ports").unwrap().len(), 2);
            let ids = b0.get::<BTreeMap<String, String>>("external_ids").unwrap();
            assert_eq!(ids, BTreeMap::from([("c".to_owned(), "d".to_owned())]));

            ovs.kill_server();
            assert!(matches!(watch.next().await, Event::Lost(error) if error.is_disconnected()));
            assert_eq!(names(&watch), ["b0", "b1"]);
            ovs.start_server(&[]);
            host.sh("ovs-vsctl --no-wait del-br b0");
            let mut events = Box::pin(watch.into_stream());
            assert!(matches!(event(&mut events).await, Event::Connected | Event::Changed(_)));
        });
    });
}

/// Whether a client that only listens stays connected to a server that asks whether it is alive.
#[test]
fn the_servers_probes_are_answered() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::database(host);
        host.sh("ovs-vsctl --no-wait init");
        ovs.kill_server();
        ovs.start_server(&["--remote=db:Open_vSwitch,Open_vSwitch,manager_options"]);
        // The shortest interval that the server takes.
        host.sh("ovs-vsctl --no-wait set-manager ptcp:16640:127.0.0.1 -- set Manager . inactivity_probe=1000");
        let target: Target = "tcp:127.0.0.1:16640".parse().unwrap();
        wait_until("the manager's port is open", Duration::from_secs(10), || {
            std::net::TcpStream::connect("127.0.0.1:16640").is_ok()
        });
        host.block_on(async {
            let client = Client::connect(&target, &ConnectOptions::default()).await.unwrap();
            client.echo().await.unwrap();
            // A client that does not answer is dropped after twice the interval; three of them are more than that.
            tokio::time::sleep(Duration::from_millis(3500)).await;
            client.echo().await.unwrap();
        });
    });
}

// Linked otherwise, nslab asks whom /etc/nsswitch.conf names, and nobody else.
#[cfg(target_feature = "crt-static")]
#[test]
fn a_server_is_found_by_its_name_whoever_else_the_machine_would_ask_for_it() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::database(host);
        ovs.kill_server();
        ovs.start_server(&["--remote=ptcp:16642:127.0.0.1"]);
        let hosts = host.scratch().join("hosts").display().to_string();
        host.sh(&format!("echo 127.0.0.1 database > {hosts}; mount --bind {hosts} /etc/hosts"));
        host.sh("echo hosts: nobody > /etc/nsswitch.conf");
        let target: Target = "tcp:database:16642".parse().unwrap();
        host.block_on(async {
            let client = Client::connect(&target, &ConnectOptions::default()).await.unwrap();
            assert!(client.list_dbs().await.unwrap().contains(&DATABASE.to_owned()));
        });
        host.sh("umount /etc/hosts");
    });
}

#[test]
fn tls_wants_certificates_of_the_same_authority() {
    ThrowAwayHost::run(|host| {
        let mut ovs = OpenVswitch::database(host);
        let directory = host.scratch().display().to_string();
        ovs.serve_tls(host, 16641);
        let target: Target = "ssl:127.0.0.1:16641".parse().unwrap();
        let files = |authority: &str| TlsFiles {
            ca: format!("{directory}/{authority}/switchca/cacert.pem").into(),
            certificate: format!("{directory}/me-cert.pem").into(),
            private_key: format!("{directory}/me-privkey.pem").into(),
        };
        let with = |tls| ConnectOptions { tls, ..ConnectOptions::default() };
        host.block_on(async {
            let client = Client::connect(&target, &with(Some(files("pki")))).await.unwrap();
            assert!(client.list_dbs().await.unwrap().contains(&DATABASE.to_owned()));
            let error = Client::connect(&target, &with(Some(files("other")))).await.unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains("UnknownIssuer") || cause.contains("BadSignature"), "{cause}");
            let error = Client::connect(&target, &with(None)).await.unwrap_err();
            assert!(error.to_string().contains("wants certificates"), "{error}");
            let missing = TlsFiles { ca: "/nowhere.pem".into(), ..files("pki") };
            let error = Client::connect(&target, &with(Some(missing))).await.unwrap_err();
            assert_eq!(error.to_string(), "can't use /nowhere.pem for TLS");
        });
    });
}

#[test]
fn answers_may_be_big() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::database(host);
        host.sh("ovs-vsctl --no-wait init");
        host.block_on(async {
            let client = connected().await;
            let big = "x".repeat(6 << 20);
            let ids = BTreeMap::from([("big", big.as_str())]);
            let mut transaction = Transaction::new(DATABASE);
            transaction.update(DATABASE, vec![], Row::new().with("external_ids", ids));
            transaction.select(DATABASE, vec![], &["external_ids"]);
            let started = Instant::now();
            let results = client.transact(&transaction).await.unwrap();
            let ids = results[1].rows[0].get::<BTreeMap<String, String>>("external_ids").unwrap();
            assert_eq!(ids["big"], big);
            println!("6 MiB there and back: {:?}", started.elapsed());
        });
    });
}
