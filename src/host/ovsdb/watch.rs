//! A monitor that goes on when the server is restarted.

use super::client::{Client, ConnectOptions};
use super::error::OvsdbError;
use super::monitor::{Monitor, MonitorRequest, TableUpdates};
use super::replica::Replica;
use super::schema::{Requirement, Schema};
use super::target::Target;
use futures_util::Stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time before the first attempt to connect anew, which doubles with every one in vain.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a watch has to say.
#[derive(Debug)]
pub enum Event {
    /// Connected, for the first time or anew: the replica is whole, and what was known before may be of the past.
    Connected,
    /// The replica has taken these changes over.
    Changed(TableUpdates),
    /// The connection is lost, or there is none yet. The replica stays as it was; [`Event::Connected`] comes when the
    /// server is back.
    Lost(OvsdbError),
}

/// Tables of a database as they are, for as long as anybody wants to know.
pub struct Watch {
    target: Target,
    options: ConnectOptions,
    requirement: Requirement,
    requests: BTreeMap<String, MonitorRequest>,
    replica: Replica,
    state: State,
}

enum State {
    Connected(Box<(Monitor, Schema)>),
    /// Not connected; whether that was said already, and how long to pause before the next attempt.
    Lost {
        is_told: bool,
        pause: Duration,
    },
}

impl Watch {
    /// A watch of tables; it connects when it is first asked. What is monitored has to be in `requirement` too.
    pub fn new(
        target: Target,
        options: ConnectOptions,
        requirement: Requirement,
        requests: BTreeMap<String, MonitorRequest>,
    ) -> Self {
        let state = State::Lost { is_told: false, pause: Duration::ZERO };
        Self { target, options, requirement, requests, replica: Replica::default(), state }
    }

    /// The tables as they are, or were when the connection was lost.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The next thing that happens.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Event {
        loop {
            match &mut self.state {
                State::Connected(connected) => match connected.0.next().await {
                    Ok(updates) => {
                        self.replica.apply(&connected.1, &updates);
                        return Event::Changed(updates);
                    }
                    Err(error) => {
                        self.state = State::Lost { is_told: true, pause: FIRST_PAUSE };
                        return Event::Lost(error);
                    }
                },
                State::Lost { is_told, pause } => {
                    let (is_told, pause) = (*is_told, *pause);
                    tokio::time::sleep(pause).await;
                    match self.connect().await {
                        Ok(()) => return Event::Connected,
                        Err(error) => {
                            let pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                            self.state = State::Lost { is_told: true, pause };
                            if !is_told {
                                return Event::Lost(error);
                            }
                        }
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), OvsdbError> {
        let (client, schema) = Client::connect_to(&self.target, &self.options, &self.requirement).await?;
        let (monitor, initial) = client.monitor(self.requirement.database(), &self.requests).await?;
        self.replica = Replica::default();
        self.replica.apply(&schema, &initial);
        self.state = State::Connected(Box::new((monitor, schema)));
        Ok(())
    }

    /// The same as a stream, which does not end.
    pub fn into_stream(self) -> impl Stream<Item = Event> {
        futures_util::stream::unfold(self, |mut watch| async move {
            let event = watch.next().await;
            Some((event, watch))
        })
    }
}
