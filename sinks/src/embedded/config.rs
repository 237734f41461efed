//! What a server is told: its configuration file and its command line.

use std::ffi::OsString;
use std::path::Path;

use longshore_core::limits::{EMBEDDED_LOG_BYTES_MAX, EMBEDDED_MARK_CACHE_BYTES};

use super::folder::DataFolder;
use super::ports::Ports;
use super::users::GATE;
use super::xml::escape;

/// What the server runs as `default` when it starts.
/// The native port opens first, so that a server that answers HTTP has both. The last query never ends, and keeps
/// the server up: a row of `system.numbers` every three seconds, read and thrown away.
const BOOTSTRAP_QUERY: &str = "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; \
     SELECT sleepEachRow(3) FROM system.numbers FORMAT Null \
     SETTINGS max_block_size=1, function_sleep_max_microseconds_per_block=10000000";

/// How many times larger than its largest part a merge has to be, in a partition of up to ten parts; ClickHouse lowers
/// it evenly to two at fifty parts, whatever it is set to, so that it decides how often a row is written again on its
/// way into a large part, and not how many parts there can be. With ClickHouse's own 5 that is at every fifth insert, and
/// merging takes more of the server than inserting. With 128 it is once some 38 parts of a size are there: the fewest
/// merges that still leave a partition with dozens of parts, far from the thousand at which inserts are slowed down.
const MERGE_SELECTOR_BASE: u32 = 128;

/// What differs from one start to the next.
pub(super) struct StartConfig<'a> {
    /// What `GET /` answers: it is how a server is known to be ours.
    pub(super) greeting: &'a str,
    /// Where ClickHouse asks whether `default` may log in.
    pub(super) gate_url: &'a str,
    pub(super) memory_bytes_max: Option<u64>,
}

/// The configuration file. An empty `http_options_response` keeps `add_http_cors_header` of a query, which ClickHouse's
/// own pages send, from allowing the pages of other sites to read the answer. Old logs are not compressed, because
/// the server may not read them.
pub(super) fn config_xml(folder: &DataFolder, start: &StartConfig<'_>) -> String {
    let memory = start
        .memory_bytes_max
        .map(|bytes| format!("  <max_server_memory_usage>{bytes}</max_server_memory_usage>\n"))
        .unwrap_or_default();
    format!(
        "<clickhouse>
  <users_config>{users}</users_config>
  <timezone>UTC</timezone>
  <http_server_default_response>{greeting}</http_server_default_response>
  <http_options_response></http_options_response>
  <http_authentication_servers>
    <{GATE}>
      <uri>{gate}</uri>
      <max_tries>1</max_tries>
      <connection_timeout_ms>10000</connection_timeout_ms>
      <receive_timeout_ms>10000</receive_timeout_ms>
      <send_timeout_ms>10000</send_timeout_ms>
    </{GATE}>
  </http_authentication_servers>
{memory}  <mark_cache_size>{EMBEDDED_MARK_CACHE_BYTES}</mark_cache_size>
  <log-level>warning</log-level>
  <logger>
    <log>{log}</log>
    <size>{EMBEDDED_LOG_BYTES_MAX}</size>
    <count>1</count>
    <compress>false</compress>
    <console>false</console>
  </logger>
  <merge_tree>
    <merge_selector_base>{MERGE_SELECTOR_BASE}</merge_selector_base>
  </merge_tree>
  <send_crash_reports><enabled>false</enabled></send_crash_reports>
</clickhouse>
",
        users = escape(&folder.users_file()),
        log = escape(&folder.server_log()),
        greeting = escape(start.greeting),
        gate = escape(start.gate_url),
    )
}

/// The command line of `clickhouse local`, without the program and without secrets.
pub(super) fn server_args(folder: &DataFolder, ports: Ports) -> Vec<OsString> {
    let option = |name: &str, value: &str| [OsString::from(name), OsString::from(value)];
    let mut args = [
        option("--path", &folder.store()),
        option("--config-file", &folder.config_file()),
        option("--tcp_port", &ports.tcp.to_string()),
        option("--http_port", &ports.http.to_string()),
        option("--listen_host", "127.0.0.1"),
        option("--query", BOOTSTRAP_QUERY),
        // It stands on a terminal (`child.rs`), on which it draws nothing. Should its queries end, it asks for others; it
        // ends instead, because without a home it finds no place for their history.
        option("--progress", "off"),
    ]
    .concat();
    args.push("--interactive".into());
    args
}

/// A data folder's path is written into XML and given to ClickHouse as text.
pub(super) fn is_plain_text(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.chars().any(char::is_control))
}
