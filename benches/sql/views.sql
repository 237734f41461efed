-- The three rollups as ClickHouse alone keeps them, materialized views over `longshore.events`: first seen, GMV a minute,
-- PV and UV a minute. The same states and codecs as Longshore's rollup tables.

CREATE TABLE longshore.new_users_first_seen
(
    product LowCardinality(String) CODEC(ZSTD(1)),
    user String CODEC(ZSTD(1)),
    first SimpleAggregateFunction(min, Tuple(_time DateTime64(3, 'UTC'), channel String)) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (product, user);

CREATE MATERIALIZED VIEW longshore.new_users_mv TO longshore.new_users_first_seen AS
SELECT product, user_id AS user, min(CAST((ts, channel), 'Tuple(_time DateTime64(3, \'UTC\'), channel String)')) AS first
FROM longshore.events
GROUP BY product, user_id;

CREATE TABLE longshore.gmv_minutes
(
    product LowCardinality(String) CODEC(ZSTD(1)),
    channel LowCardinality(String) CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(T64, LZ4),
    orders SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    amount SimpleAggregateFunction(sum, Decimal(38, 2)) CODEC(ZSTD(1)),
    buyers AggregateFunction(uniqExact, String) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (product, channel, minute);

CREATE MATERIALIZED VIEW longshore.gmv_mv TO longshore.gmv_minutes AS
SELECT product, channel, toStartOfMinute(ts) AS minute, count() AS orders, sum(assumeNotNull(e.amount)) AS amount,
    uniqExactState(user_id) AS buyers
FROM longshore.events AS e
WHERE e.amount IS NOT NULL AND event = 'order_paid'
GROUP BY product, channel, minute;

CREATE TABLE longshore.pv_uv_minutes
(
    product LowCardinality(String) CODEC(ZSTD(1)),
    channel LowCardinality(String) CODEC(ZSTD(1)),
    minute DateTime('UTC') CODEC(T64, LZ4),
    pv SimpleAggregateFunction(sum, UInt64) CODEC(ZSTD(1)),
    uv AggregateFunction(uniqExact, String) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (product, channel, minute);

CREATE MATERIALIZED VIEW longshore.pv_uv_mv TO longshore.pv_uv_minutes AS
SELECT product, channel, toStartOfMinute(ts) AS minute, count() AS pv, uniqExactState(user_id) AS uv
FROM longshore.events
WHERE event = 'page_view'
GROUP BY product, channel, minute;

-- What analysts read.

CREATE VIEW longshore.new_users_by_minute AS
SELECT product, tupleElement(materialize(first), 'channel') AS channel,
    toStartOfMinute(tupleElement(materialize(first), '_time')) AS minute, count() AS new_users
FROM longshore.new_users_first_seen FINAL
GROUP BY product, channel, minute;

CREATE VIEW longshore.gmv_by_minute AS
SELECT product, channel, minute, sum(r.orders) AS orders, sum(r.amount) AS amount, uniqExactMerge(r.buyers) AS buyers
FROM longshore.gmv_minutes AS r
GROUP BY product, channel, minute;

CREATE VIEW longshore.pv_uv_by_minute AS
SELECT product, channel, minute, sum(r.pv) AS pv, uniqExactMerge(r.uv) AS uv
FROM longshore.pv_uv_minutes AS r
GROUP BY product, channel, minute;
