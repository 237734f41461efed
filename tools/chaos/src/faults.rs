//! What is done to engine, server, network and disk, and how often.

use std::collections::BTreeMap;
use std::fmt;

/// One way to die, or nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 of the engine at any moment.
    KillEngine,
    /// kill -9 of the engine while ClickHouse's acknowledgement of an insert is on its way.
    KillEngineAtAnswer,
    /// kill -9 of ClickHouse at any moment, and a start after a while.
    KillServer,
    /// kill -9 of ClickHouse when an insert has just begun.
    KillServerInInsert,
    /// Both at once, as when the machine goes down.
    KillBoth,
    /// SIGSTOP of the engine for a while.
    FreezeEngine,
    /// SIGSTOP of ClickHouse for a while.
    FreezeServer,
    /// SIGTERM: the engine ends as it should, and is started again.
    StopEngine,
    /// An insert's connection is cut before anything of it arrived.
    CutBefore,
    /// An insert's connection is cut inside.
    CutWithin,
    /// An insert's connection is cut once it is done, instead of the acknowledgement.
    CutAfter,
    /// An acknowledgement is held back for a while.
    HoldAnswer,
    /// All connections are cut and none is accepted for a while.
    NetworkAway,
    /// The disk of the journal is full for a while.
    FullDisk,
    /// An engine joins the consumer group.
    AddEngine,
    /// An engine leaves the consumer group, by SIGTERM.
    RemoveEngine,
    /// All connections to the brokers are broken and none is taken for a while.
    BrokersAway,
}

/// What a run may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Kill and freeze ClickHouse.
    pub(crate) server: bool,
    /// Fill the disk of the journal.
    pub(crate) disk: bool,
}

impl Fault {
    /// Each with how often it comes.
    const ALL: [(Fault, u64); 14] = [
        (Fault::KillEngine, 5),
        (Fault::KillEngineAtAnswer, 5),
        (Fault::KillServer, 3),
        (Fault::KillServerInInsert, 4),
        (Fault::KillBoth, 2),
        (Fault::FreezeEngine, 2),
        (Fault::FreezeServer, 2),
        (Fault::StopEngine, 2),
        (Fault::CutBefore, 3),
        (Fault::CutWithin, 3),
        (Fault::CutAfter, 5),
        (Fault::HoldAnswer, 2),
        (Fault::NetworkAway, 2),
        (Fault::FullDisk, 2),
    ];

    /// Those of a consumer group, each with how often it comes.
    pub(crate) const OF_A_GROUP: [(Fault, u64); 6] = [
        (Fault::KillEngine, 3),
        (Fault::AddEngine, 3),
        (Fault::RemoveEngine, 2),
        (Fault::FreezeEngine, 2),
        (Fault::BrokersAway, 2),
        (Fault::KillServer, 1),
    ];

    /// Those that a run with these rights chooses from.
    pub(crate) fn choice(rights: Rights) -> Vec<(Fault, u64)> {
        let may = |fault: Fault| match fault {
            Fault::KillServer | Fault::KillServerInInsert | Fault::KillBoth | Fault::FreezeServer => rights.server,
            Fault::FullDisk => rights.disk,
            _ => true,
        };
        Fault::ALL.into_iter().filter(|&(fault, _)| may(fault)).collect()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::KillEngine => "engine killed (kill -9)",
            Fault::KillEngineAtAnswer => "engine killed before an acknowledgement",
            Fault::KillServer => "ClickHouse killed (kill -9)",
            Fault::KillServerInInsert => "ClickHouse killed in an insert",
            Fault::KillBoth => "engine and ClickHouse killed at once",
            Fault::FreezeEngine => "engine frozen (SIGSTOP)",
            Fault::FreezeServer => "ClickHouse frozen (SIGSTOP)",
            Fault::StopEngine => "engine stopped (SIGTERM)",
            Fault::CutBefore => "connection cut before an insert",
            Fault::CutWithin => "connection cut inside an insert",
            Fault::CutAfter => "connection cut before an acknowledgement",
            Fault::HoldAnswer => "acknowledgement held back",
            Fault::NetworkAway => "network away",
            Fault::FullDisk => "disk of the journal full",
            Fault::AddEngine => "engine added to the group",
            Fault::RemoveEngine => "engine taken from the group (SIGTERM)",
            Fault::BrokersAway => "brokers away",
        })
    }
}

/// How often each was done.
pub(crate) type Counts = BTreeMap<Fault, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_server_is_neither_killed_nor_frozen() {
        let choice = Fault::choice(Rights { server: false, disk: false });
        let names: Vec<String> = choice.iter().map(|(fault, _)| fault.to_string()).collect();
        assert_eq!(names.len(), 9, "{names:?}");
        assert!(names.iter().all(|name| !name.contains("ClickHouse") && !name.contains("disk")), "{names:?}");
        assert_eq!(Fault::choice(Rights { server: true, disk: true }).len(), 14);
    }
}
