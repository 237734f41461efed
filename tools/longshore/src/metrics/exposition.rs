//! The two formats of metrics: OpenMetrics for whoever asks for it by name, Prometheus' text for everybody else.
//!
//! Prometheus asks for OpenMetrics; `curl`, a browser, `promtool check metrics` and older collectors read the text. They
//! differ in the names of families: a counter of OpenMetrics has its `_total` in the samples alone, as has an info its
//! `_info`, and only OpenMetrics has units, an info type and an end.

use std::fmt::Write as _;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4
    Text,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The format that the values of a request's `Accept` want. OpenMetrics only if it is named, and not less than the
    /// text: who takes anything cannot be known to read it.
    pub(super) fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
        let (mut open, mut text) = (0, 0);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality =
                parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            let quality = quality.map_or(1_000, |(_, value)| thousandths(value.trim()));
            if kind.eq_ignore_ascii_case("application/openmetrics-text") {
                open = open.max(quality);
            } else if kind.eq_ignore_ascii_case("text/plain") {
                text = text.max(quality);
            }
        }
        if open > 0 && open >= text { Format::OpenMetrics } else { Format::Text }
    }

    /// What is written in OpenMetrics, in this format.
    pub(super) fn write(self, openmetrics: String) -> String {
        match self {
            Format::OpenMetrics => openmetrics,
            Format::Text => text_of(&openmetrics),
        }
    }
}

/// `0.5` as 500; what is no weight is none.
fn thousandths(quality: &str) -> u32 {
    match quality.parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1_000.0) as u32,
        _ => 0,
    }
}

/// Prometheus' text of the same metrics.
fn text_of(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // The help comes before the type, which decides the family's name.
    let mut help = None;
    for line in openmetrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            let _ = writeln!(text, "{line}");
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), Some(words)) => help = Some(words),
            (Some("TYPE"), Some(family), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some(help) = help.take() {
                    // Here a quote stands for itself.
                    let _ = writeln!(text, "# HELP {family}{suffix} {}", help.replace("\\\"", "\""));
                }
                let _ = writeln!(text, "# TYPE {family}{suffix} {kind}");
            }
            // Units and the end.
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &str) -> Format {
        Format::accepted(std::iter::once(accept))
    }

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it_by_name() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
                          text/plain;version=0.0.4;q=0.2,/;q=0.1";
        let prometheus_2 = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [prometheus, prometheus_2, "application/openmetrics-text", "APPLICATION/OpenMetrics-Text;Q=0.1"] {
            assert_eq!(accepted(accept), Format::OpenMetrics, "{accept}");
        }
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [
            "",
            "*/*",
            "application/*",
            firefox,
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.000",
            "application/openmetrics-text;q=nonsense",
            "text/plain;version=0.0.4,application/openmetrics-text;q=0.9",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.1",
        ] {
            assert_eq!(accepted(accept), Format::Text, "{accept}");
        }
        assert_eq!(Format::accepted(std::iter::empty()), Format::Text);
        assert_eq!(
            Format::accepted(["text/plain;q=0.3", "application/openmetrics-text"].into_iter()),
            Format::OpenMetrics
        );
    }

    #[test]
    fn families_are_named_as_their_samples_are() {
        let openmetrics = "\
# HELP a_build The \\\"engine\\\".
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_stored_bytes Bytes.
# TYPE a_stored_bytes counter
# UNIT a_stored_bytes bytes
a_stored_bytes_total{source=\"# x\"} 7
# HELP a_store_seconds Time.
# TYPE a_store_seconds histogram
# UNIT a_store_seconds seconds
a_store_seconds_sum 0.0
a_store_seconds_count 0
a_store_seconds_bucket{le=\"+Inf\"} 0
# EOF
";
        let text = "\
# HELP a_build_info The \"engine\".
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_stored_bytes_total Bytes.
# TYPE a_stored_bytes_total counter
a_stored_bytes_total{source=\"# x\"} 7
# HELP a_store_seconds Time.
# TYPE a_store_seconds histogram
a_store_seconds_sum 0.0
a_store_seconds_count 0
a_store_seconds_bucket{le=\"+Inf\"} 0
";
        assert_eq!(text_of(openmetrics), text);
        assert_eq!(Format::OpenMetrics.write(openmetrics.to_owned()), openmetrics);
    }
}
