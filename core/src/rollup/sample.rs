//! States of one known value, by which a server can be asked whether it keeps distinct values in our form.

use super::aggregate::push_state;
use super::read::Identities;
use super::{RollupKind, RollupSpec};
use crate::column::ColumnType;
use crate::column::builder::ColumnBuilder;
use crate::column::layout::{LayoutColumn, Origin, event_columns};
use crate::column::value::Value;
use crate::config::Config;

/// A value of a column, and the state that we would write for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSample {
    /// The column's type.
    pub ty: ColumnType,
    /// The value as text.
    pub value: &'static str,
    /// Its `uniqExact` state.
    pub state: Vec<u8>,
}

/// A sample for each type of which a rollup of this config keeps distinct values.
pub fn state_samples(config: &Config) -> Vec<StateSample> {
    let layout = event_columns(config);
    let type_of = |name: &str| layout.iter().find(|column| *column.name == *name).map(|column| column.ty.clone());
    let mut samples: Vec<StateSample> = Vec::new();
    for RollupSpec { kind, .. } in &config.rollups {
        let (RollupKind::Gmv { buyer: user, .. } | RollupKind::PvUv { user }) = kind else { continue };
        let ty = type_of(user).expect("the config was checked: a declared column");
        if samples.iter().all(|sample| sample.ty != ty) {
            samples.push(sample(ty));
        }
    }
    samples
}

fn sample(ty: ColumnType) -> StateSample {
    let value = match ty {
        ColumnType::Uuid => "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
        ColumnType::Ipv4 => "10.20.30.40",
        ColumnType::Ipv6 => "2001:db8::1234",
        ColumnType::String | ColumnType::LowCardinality => "a value of 27 bytes: 中文",
        _ => "57",
    };
    let layout = LayoutColumn { name: "sample".into(), ty, nullable: false, origin: Origin::Declared(0) };
    let mut column = ColumnBuilder::of_layout(&layout);
    column.push(Value::String(value)).expect("a value of the type");
    let identities = Identities::read(&column.finish(), &layout.ty);
    let mut state = Vec::new();
    push_state(&mut state, &identities.rows, identities.bytes);
    StateSample { ty: layout.ty, value, state }
}
