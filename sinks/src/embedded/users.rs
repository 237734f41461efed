//! The three users of an embedded server, as ClickHouse's users file.
//!
//! - `longshore`, the engine: everything with databases, tables and views. No files, no URLs, no other servers, no
//!   users, no shutting down: the engine needs none of it, and so a leaked password gives none of it either.
//! - `analyst`: reads what `rights.rs` gives it, changes nothing.
//! - `default`: ClickHouse's start logs in by this name, and nobody else can (`gate.rs`). It may open the two ports and
//!   read `system.numbers`, and one session is all that it may have.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};

use super::credentials::{ANALYST_USER, Credentials, ENGINE_USER};
use super::rights::analyst_grants;

/// How the users file and the configuration name who says whether `default` may log in.
pub(super) const GATE: &str = "start";

/// Tables that the engine may create. Engines that read files, URLs or other servers are not among them.
const TABLE_ENGINES: [&str; 15] = [
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "CoalescingMergeTree",
    "Memory",
    "Null",
    "Buffer",
    "Join",
    "Set",
    "EmbeddedRocksDB",
    "Merge",
    "GenerateRandom",
];

/// Rights of the engine over all databases.
const ENGINE_RIGHTS: &str = "SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, \
     dictGet, SYSTEM FLUSH, SYSTEM VIEWS, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM MOVES, SYSTEM SYNC REPLICA, \
     SYSTEM DROP CACHE, SYSTEM RELOAD DICTIONARY, SYSTEM CLEANUP, SYSTEM WAIT LOADING PARTS";

/// Settings that a reader may change: those that ClickHouse's own pages (`/play`, `/dashboard`) send with each
/// query, and how results look. None of them lifts a limit, and `add_http_cors_header` has no effect (`config.rs`).
const READER_SETTINGS: [&str; 16] = [
    "add_http_cors_header",
    "enable_http_compression",
    "http_response_headers",
    "extremes",
    "use_query_cache",
    "enable_reads_from_query_cache",
    "enable_writes_to_query_cache",
    "query_cache_ttl",
    "query_cache_nondeterministic_function_handling",
    "query_cache_system_table_handling",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
    "session_timezone",
    "date_time_output_format",
    "output_format_json_quote_64bit_integers",
];

/// The whole users file. It holds digests, not passwords. Analysts read these databases.
pub(super) fn users_xml(credentials: &Credentials, databases: &BTreeSet<String>) -> String {
    let table_engines: Vec<String> = TABLE_ENGINES.iter().map(|name| format!("TABLE ENGINE ON {name}")).collect();
    let changeable: String = READER_SETTINGS
        .iter()
        .map(|setting| format!("        <{setting}><changeable_in_readonly/></{setting}>\n"))
        .collect();
    let engine_password = password_xml(credentials.engine_password.expose());
    let analyst_password = password_xml(credentials.analyst_password.expose());
    format!(
        "<clickhouse>
  <profiles>
    <default/>
    <engine/>
    <reader>
      <readonly>1</readonly>
      <!-- Money keeps its cents: 1.50, not 1.5. -->
      <output_format_decimal_trailing_zeros>1</output_format_decimal_trailing_zeros>
      <constraints>
{changeable}      </constraints>
    </reader>
    <bootstrap>
      <!-- The start's own, which lasts as long as the server. -->
      <max_sessions_for_user>1</max_sessions_for_user>
      <constraints><max_sessions_for_user><const/></max_sessions_for_user></constraints>
    </bootstrap>
  </profiles>
  <quotas>
    <default/>
  </quotas>
  <users>
    <default>
      <http_authentication><server>{GATE}</server><scheme>basic</scheme></http_authentication>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>bootstrap</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT SYSTEM LISTEN ON *.*</query>
        <query>GRANT SELECT ON system.numbers</query>
      </grants>
    </default>
    <{ENGINE_USER}>
      {engine_password}
      <networks><ip>127.0.0.1</ip></networks>
      <profile>engine</profile>
      <quota>default</quota>
      <grants>
        <query>GRANT {ENGINE_RIGHTS} ON *.*</query>
        <query>GRANT {table_engines}</query>
      </grants>
    </{ENGINE_USER}>
    <{ANALYST_USER}>
      {analyst_password}
      <networks><ip>127.0.0.1</ip></networks>
      <profile>reader</profile>
      <quota>default</quota>
      <grants>
{analyst_grants}      </grants>
    </{ANALYST_USER}>
  </users>
</clickhouse>
",
        table_engines = table_engines.join(", "),
        analyst_grants = analyst_grants(databases),
    )
}

/// How a user logs in: by a password's SHA-256.
fn password_xml(password: &str) -> String {
    format!("<password_sha256_hex>{}</password_sha256_hex>", hex(digest(&SHA256, password.as_bytes()).as_ref()))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use longshore_core::config::Secret;

    use super::*;

    fn xml(analyst: &str) -> String {
        let credentials = Credentials { engine_password: Secret::new("abc"), analyst_password: Secret::new(analyst) };
        users_xml(&credentials, &BTreeSet::new())
    }

    #[test]
    fn the_file_holds_digests_and_no_password() {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let xml = xml("sunny-day");
        assert!(xml.contains(&format!("<password_sha256_hex>{abc}</password_sha256_hex>")));
        assert!(!xml.contains(">abc<") && !xml.contains("sunny-day"));
    }

    #[test]
    fn every_user_has_a_way_to_log_in_and_none_of_them_is_an_empty_password() {
        let xml = xml("x");
        assert_eq!(xml.matches("<password_sha256_hex>").count(), 2, "the engine's and the analyst's");
        assert_eq!(xml.matches("<http_authentication>").count(), 1, "default's");
        assert!(!xml.contains("<password>") && !xml.contains("no_password"), "{xml}");
    }
}
