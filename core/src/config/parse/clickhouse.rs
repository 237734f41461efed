//! `[clickhouse]`: which server, and how it is spoken to.

use std::path::PathBuf;

use super::columns::check_name;
use crate::config::context::quote;
use crate::config::table::{Item, Section};
use crate::config::{
    ClickHouseSpec, DATABASE_DEFAULT, EmbeddedSpec, Guarantee, ServerSpec, UrlSpec, WireCompression, values,
};
use crate::limits;

const KEYS: &[&str] = &[
    "url",
    "user",
    "password",
    "password_file",
    "ca_file",
    "database",
    "inserts_in_flight",
    "compression",
    "rollups",
    "guarantee",
    "fsync",
    "embedded",
];
const EMBEDDED_KEYS: &[&str] =
    &["data", "http_port", "tcp_port", "library", "memory_max", "analyst_password", "analyst_password_file"];

const COMPRESSIONS: [(&str, WireCompression); 3] =
    [("auto", WireCompression::Auto), ("none", WireCompression::None), ("lz4", WireCompression::Lz4)];

const GUARANTEES: [(&str, Guarantee); 2] =
    [("exactly-once", Guarantee::ExactlyOnce), ("at-least-once", Guarantee::AtLeastOnce)];

/// Of a key that chose what fills the rollups.
const ROLLUPS_GONE: &str = "this is gone: the engine fills the rollups, and nothing else does";

/// Databases that ClickHouse keeps for itself.
const OWN_DATABASES: [&str; 3] = ["system", "information_schema", "INFORMATION_SCHEMA"];

pub(super) fn read(root: &Section<'_>) -> Option<ClickHouseSpec> {
    let mut spec = ClickHouseSpec {
        server: ServerSpec::Embedded(EmbeddedSpec::default()),
        database: DATABASE_DEFAULT.to_owned(),
        inserts_in_flight: limits::INSERTS_IN_FLIGHT,
        compression: WireCompression::Auto,
        guarantee: Guarantee::ExactlyOnce,
        fsync: true,
    };
    let Some(item) = root.item("clickhouse") else {
        return Some(spec);
    };
    let section = item.section(KEYS)?;
    let server = read_server(&section);
    if let Some(database) = section.string("database") {
        check_name(section.context, &database);
        if OWN_DATABASES.contains(&database.value.as_str()) {
            let message = format!("{} is a database of ClickHouse's own", quote(&database.value));
            section.context.error_help(&database.place, message, "choose another name, such as `longshore`");
        }
        spec.database = database.value;
    }
    let inserts = section.item("inserts_in_flight");
    if let Some(inserts) = inserts.and_then(|item| item.integer(1..=limits::INSERTS_IN_FLIGHT_CEILING as u64)) {
        spec.inserts_in_flight = inserts.value as usize;
    }
    if let Some(compression) = section.item("compression").and_then(|item| item.one_of(&COMPRESSIONS)) {
        spec.compression = compression.value;
    }
    section.refuse(
        &["rollups"],
        ROLLUPS_GONE,
        "leave it out; a database that views filled has to be loaded anew, into another one",
    );
    if let Some(guarantee) = section.item("guarantee").and_then(|item| item.one_of(&GUARANTEES)) {
        spec.guarantee = guarantee.value;
    }
    if let Some(fsync) = section.boolean("fsync") {
        spec.fsync = fsync.value;
    }
    spec.server = server?;
    Some(spec)
}

fn read_server(section: &Section<'_>) -> Option<ServerSpec> {
    let url = section.item("url");
    let embedded = section.item("embedded");
    if let (Some(url), Some(_)) = (url, embedded) {
        let message = "a server on a URL and an embedded one exclude each other";
        section.context.error_help(&url.place, message, "keep `url` or [clickhouse.embedded]");
    }
    let embedded = embedded.map(read_embedded);
    match url {
        Some(url) => read_url(section, url).map(ServerSpec::Url),
        None => {
            let message = "only a server on a URL has it: the embedded one makes its own users";
            section.refuse(
                &["user", "password", "password_file", "ca_file"],
                message,
                "write `url` too, or leave it out",
            );
            embedded.unwrap_or(Some(EmbeddedSpec::default())).map(ServerSpec::Embedded)
        }
    }
}

fn read_url(section: &Section<'_>, item: &Item<'_>) -> Option<UrlSpec> {
    let context = section.context;
    let url = item.string().and_then(|url| match values::server_url(&url.value) {
        Ok(url) => Some(url),
        Err((message, help)) => {
            context.error_help(&item.place, message, help);
            None
        }
    });
    let user = match section.item("user") {
        Some(item) => item.filled_string().map(|user| user.value),
        None => Some("default".to_owned()),
    };
    let password = section.secret("password", "password_file").map(|password| password.value);
    let ca_file = path(section, "ca_file");
    if url.as_ref().is_some_and(|url| url.starts_with("http:")) {
        let message = "an http URL has no TLS, so there is no certificate to check";
        section.refuse(&["ca_file"], message, "write an https URL, or leave `ca_file` out");
    }
    Some(UrlSpec { url: url?, user: user?, password: password.unwrap_or_default(), ca_file })
}

fn read_embedded(item: &Item<'_>) -> Option<EmbeddedSpec> {
    let section = item.section(EMBEDDED_KEYS)?;
    let port = |key| section.item(key).and_then(|item| item.integer(1..=u64::from(u16::MAX)));
    let (http_port, tcp_port) = (port("http_port"), port("tcp_port"));
    if let (Some(http), Some(tcp)) = (&http_port, &tcp_port)
        && http.value == tcp.value
    {
        let message = "http_port and tcp_port are the same";
        section.context.error_help(&tcp.place, message, "leave both out to have free ones chosen");
    }
    let memory = section.item("memory_max");
    let memory = memory.and_then(|item| item.bytes(limits::EMBEDDED_MEMORY_BYTES_FLOOR..=1 << 50));
    // An empty one would let everybody in: it is none at all.
    let analyst_password = section.secret("analyst_password", "analyst_password_file");
    if let Some(password) = analyst_password.as_ref().filter(|password| password.value.expose().is_empty()) {
        section.context.error(&password.place, "this cannot be empty");
    }
    Some(EmbeddedSpec {
        data: path(&section, "data"),
        http_port: http_port.map(|port| port.value as u16),
        tcp_port: tcp_port.map(|port| port.value as u16),
        library: path(&section, "library"),
        memory_bytes_max: memory.map(|memory| memory.value),
        analyst_password: analyst_password.map(|password| password.value),
    })
}

fn path(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    section.context.resolve(&section.string(key)?)
}
