//! `[[column]]`: what is kept of a record, and how the other sections refer to it.

use toml::de::DeValue;

use super::sources::Names;
use super::{column_type, masks};
use crate::access_log::Field;
use crate::column::builder::check_text;
use crate::column::{ColumnSpec, ColumnType, Mask, Path, Step};
use crate::config::context::{At, Context, quote};
use crate::config::table::{Item, Section, integer_value};
use crate::config::{Format, ProductsSpec, suggest, values};
use crate::limits;

const KEYS: &[&str] =
    &["name", "type", "path", "format", "zone", "precision", "default", "nullable", "required", "mask"];

/// The columns as far as they could be read.
pub(super) struct Columns {
    drafts: Vec<ColumnDraft>,
    names: Names,
    /// Each column's name is known, so that a name that is not among them is wrong.
    complete: bool,
}

/// A column as far as it could be read; what could not is `None`.
pub(super) struct ColumnDraft {
    pub(super) name: Option<At<String>>,
    pub(super) ty: Option<ColumnType>,
    path: Option<Path>,
    default: Option<String>,
    pub(super) nullable: bool,
    pub(super) required: bool,
    pub(super) mask: Option<Mask>,
}

impl ColumnDraft {
    fn is_named(&self, name: &str) -> bool {
        self.name.as_ref().is_some_and(|at| at.value == name)
    }

    fn into_spec(self) -> Option<ColumnSpec> {
        Some(ColumnSpec {
            name: self.name?.value.into(),
            ty: self.ty?,
            path: self.path?,
            default: self.default,
            nullable: self.nullable,
            required: self.required,
            mask: self.mask,
        })
    }
}

impl Columns {
    pub(super) fn get(&self, name: &str) -> Option<&ColumnDraft> {
        self.drafts.iter().find(|draft| draft.is_named(name))
    }

    /// The column that another section refers to; notes if there is none.
    ///
    /// If some column's name is not known, it may be the one, so nothing is said.
    pub(super) fn find(&self, context: &Context<'_>, reference: &At<String>) -> Option<&ColumnDraft> {
        let found = self.get(&reference.value);
        if found.is_none() && self.complete {
            let names: Vec<&str> =
                self.drafts.iter().filter_map(|draft| Some(draft.name.as_ref()?.value.as_str())).collect();
            let help = match suggest::closest(&reference.value, names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "declare it in a [[column]]".to_owned(),
            };
            context.error_help(&reference.place, format!("there is no column {}", quote(&reference.value)), help);
        }
        found
    }

    /// The columns' names, to which others are added that must differ from them.
    pub(super) fn names(&self) -> Names {
        self.names.clone()
    }

    pub(super) fn into_specs(self) -> Option<Vec<ColumnSpec>> {
        self.drafts.into_iter().map(ColumnDraft::into_spec).collect()
    }
}

/// A type for people, as it is written in the config.
pub fn type_name(ty: &ColumnType) -> String {
    let name = match ty {
        ColumnType::String => "string",
        ColumnType::LowCardinality => "low_cardinality",
        ColumnType::I8 => "i8",
        ColumnType::I16 => "i16",
        ColumnType::I32 => "i32",
        ColumnType::I64 => "i64",
        ColumnType::U8 => "u8",
        ColumnType::U16 => "u16",
        ColumnType::U32 => "u32",
        ColumnType::U64 => "u64",
        ColumnType::F32 => "f32",
        ColumnType::F64 => "f64",
        ColumnType::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
        ColumnType::Bool => "bool",
        ColumnType::Timestamp { .. } => "timestamp",
        ColumnType::Date { .. } => "date",
        ColumnType::Ipv4 => "ipv4",
        ColumnType::Ipv6 => "ipv6",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        ColumnType::List(item) => return format!("list({})", type_name(item)),
    };
    name.to_owned()
}

/// Reads the columns. `format` is the records' if it could be read.
pub(super) fn read(root: &Section<'_>, format: Option<Format>) -> Columns {
    let Some(item) = root.required("column", "declare what to keep of a record, each in a [[column]]") else {
        return Columns { drafts: Vec::new(), names: Names::default(), complete: false };
    };
    let sections = item.tables(KEYS);
    if item.value().as_array().is_some_and(|items| items.is_empty()) {
        root.context.error_help(&item.place, "there are no columns", "declare at least one [[column]]");
    }
    let mut names = Names::default();
    let drafts: Vec<ColumnDraft> = sections.iter().map(|section| read_one(section, format, &mut names)).collect();
    let all_read = item.value().as_array().is_some_and(|items| items.len() == drafts.len());
    let complete = all_read && !root.is_misspelt("column") && drafts.iter().all(|draft| draft.name.is_some());
    Columns { drafts, names, complete }
}

fn read_one(section: &Section<'_>, format: Option<Format>, names: &mut Names) -> ColumnDraft {
    let context = section.context;
    let name = section.required("name", "write name = \"...\"").and_then(Item::string);
    if let Some(name) = &name {
        check_name(context, name);
        names.add(context, &name.value, &name.place, "column");
    }
    let ty = column_type::read(section);
    let path = match section.item("path") {
        Some(item) => item.string().and_then(|text| read_path(context, &text, format)),
        None => name.as_ref().map(|name| {
            check_field(context, name, &name.value, format);
            Path::key(name.value.as_str())
        }),
    };
    let nullable = section.boolean("nullable");
    let required = section.boolean("required");
    let is_true = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|flag| flag.value);
    let draft = ColumnDraft {
        default: section.item("default").and_then(|item| read_default(context, item, ty.as_ref())),
        mask: masks::read(section, ty.as_ref()),
        nullable: is_true(&nullable),
        required: is_true(&required),
        name,
        ty,
        path,
    };
    check_absence(section, &draft);
    draft
}

/// Notes a name that a table cannot have.
pub(super) fn check_name(context: &Context<'_>, name: &At<String>) {
    if let Some(problem) = values::name_problem(&name.value) {
        context.error_help(&name.place, format!("{} cannot be a name", quote(&name.value)), problem);
    }
}

fn read_path(context: &Context<'_>, text: &At<String>, format: Option<Format>) -> Option<Path> {
    let path = match Path::parse(&text.value) {
        Ok(path) => path,
        Err(error) => {
            let help = "write a path such as a.b.c, items[0].sku or, for odd keys, 'a.\"x.y\"'";
            context.error_help(&text.place, format!("{} is not a path: {error}", quote(&text.value)), help);
            return None;
        }
    };
    let flat = matches!(format, Some(Format::Csv | Format::Tsv | Format::AccessLog));
    match &path.0[..] {
        [Step::Key(key)] => check_field(context, text, key, format),
        _ if flat => {
            let whole = Path::key(text.value.as_str());
            let help = format!("if this is the name of one field, write '{whole}'");
            context.error_help(&text.place, "records of this format are not nested", help);
        }
        _ => {}
    }
    Some(path)
}

/// Access logs have a fixed set of fields; the other formats' fields are not known before a record is read.
fn check_field(context: &Context<'_>, at: &At<String>, key: &str, format: Option<Format>) {
    if format == Some(Format::AccessLog) && Field::from_name(key).is_none() {
        let help = suggest::did_you_mean(key, &Field::ALL.map(Field::name), "`path` can be one of");
        context.error_help(&at.place, format!("an access log has no field {}", quote(key)), help);
    }
}

/// The default as text; checked if the type is known.
fn read_default(context: &Context<'_>, item: &Item<'_>, ty: Option<&ColumnType>) -> Option<String> {
    let ty = ty?;
    let is_number = matches!(
        ty,
        ColumnType::I8
            | ColumnType::I16
            | ColumnType::I32
            | ColumnType::I64
            | ColumnType::U8
            | ColumnType::U16
            | ColumnType::U32
            | ColumnType::U64
            | ColumnType::F32
            | ColumnType::F64
            | ColumnType::Decimal { .. }
            | ColumnType::Timestamp { .. }
            | ColumnType::Json
    );
    let text = match item.value() {
        DeValue::String(_) => item.string()?.value,
        DeValue::Integer(integer) if is_number => {
            integer_value(integer).map(|value| value.to_string()).unwrap_or_else(|| integer.to_string())
        }
        DeValue::Float(float) if is_number => float.as_str().to_owned(),
        DeValue::Boolean(value) if matches!(ty, ColumnType::Bool | ColumnType::Json) => value.to_string(),
        _ => {
            let wanted = if is_number { "a number or a string" } else { "a string" };
            let wanted = if matches!(ty, ColumnType::Bool) { "true or false" } else { wanted };
            item.wrong_type(wanted);
            return None;
        }
    };
    if let Err(problem) = check_text(ty, &text) {
        context.error(&item.place, problem);
    }
    Some(text)
}

/// What happens to records that lack the field: one thing only.
fn check_absence(section: &Section<'_>, draft: &ColumnDraft) {
    let context = section.context;
    if let (Some(item), true) = (section.item("default"), draft.required) {
        let message = "a required column has no default: records that lack it are dead letters";
        context.error_help(&item.place, message, "keep `required` or `default`");
    }
    let Some(nullable) = section.item("nullable").filter(|_| draft.nullable) else { return };
    if draft.required {
        let message = "a required column is never null: records that lack it are dead letters";
        context.error_help(&nullable.place, message, "keep `required` or `nullable`");
    }
    if matches!(draft.ty, Some(ColumnType::List(_))) {
        let help = "leave `nullable` out: an absent list is empty";
        context.error_help(&nullable.place, "ClickHouse has no nullable lists", help);
    }
}

/// The table has no more columns than the limit, those of messages and those that the products add included.
pub(super) fn check_count(
    context: &Context<'_>,
    columns: &Columns,
    of_messages: usize,
    products: Option<&ProductsSpec>,
) {
    let added = match products {
        None => 0,
        Some(ProductsSpec::Fixed { .. }) => 1,
        Some(ProductsSpec::Column { dictionary, .. }) => {
            dictionary.as_ref().map_or(0, |dictionary| dictionary.add.len())
        }
    };
    let count = columns.drafts.len() + of_messages + added;
    if count <= limits::COLUMNS_MAX {
        return;
    }
    // The first one too many, or the last if the dictionary's are.
    let over = columns.drafts.get(limits::COLUMNS_MAX).or(columns.drafts.last());
    if let Some(name) = over.and_then(|draft| draft.name.as_ref()) {
        let most = limits::COLUMNS_MAX;
        context.error(&name.place, format!("{count} columns are too many: at most {most}, the products' included"));
    }
}
