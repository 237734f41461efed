-- ClickHouse alone on sealed lines, `key-id TAB base64(nonce | ciphertext | tag)`. {files} and {key} are filled in. One
-- JSONExtract into a tuple reads the record once; a multiIf of constant keys costs less than a dictionary or transform().
INSERT INTO longshore.events
SELECT
    fromUnixTimestamp64Milli(r.ts, 'UTC'), r.event, r.product, r.channel, r.user_id, r.device_id, r.session_id, r.ip, r.os,
    r.app_version, r.country, r.page, r.referrer, r.props, r.order_id, r.amount, r.currency
FROM
(
    SELECT JSONExtract(
        decrypt('aes-256-gcm', substring(raw, 13), {key}, substring(raw, 1, 12)),
        'Tuple(ts Int64, event LowCardinality(String), product LowCardinality(String), channel LowCardinality(String), user_id String, device_id String, session_id UUID, ip IPv4, os LowCardinality(String), app_version LowCardinality(String), country LowCardinality(String), page String, referrer String, props String, order_id Nullable(String), amount Nullable(Decimal(18, 2)), currency LowCardinality(Nullable(String)))'
    ) AS r
    FROM (SELECT key, base64Decode(data) AS raw FROM file('{files}', 'TSV', 'key String, data String'))
)
