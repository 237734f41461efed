//! `[products]`: which product a record belongs to.

use super::columns::{Columns, check_name, type_name};
use crate::column::ColumnType;
use crate::config::context::{At, quote};
use crate::config::table::{Item, Section};
use crate::config::{DictionarySpec, ProductsSpec, UnknownProduct};

const KEYS: &[&str] = &["column", "fixed", "dictionary", "unknown", "default", "add"];
const HELP: &str = "write column = \"product\" (a declared column) or fixed = \"web\" (one product for all records)";

pub(super) fn read(root: &Section<'_>, columns: &Columns) -> Option<ProductsSpec> {
    let section =
        root.required("products", "add [products] with column = \"...\" or fixed = \"...\"")?.section(KEYS)?;
    match (section.item("fixed"), section.item("column")) {
        (Some(fixed), None) => read_fixed(&section, fixed, columns),
        (None, Some(column)) => read_column(&section, column, columns),
        (None, None) => {
            let place = section.place.missing("column");
            section.context.error_help(&place, "it is not said which product a record belongs to", HELP);
            None
        }
        (Some(fixed), Some(_)) => {
            let message = "the product cannot be fixed and in a column";
            section.context.error_help(&fixed.place, message, "keep `fixed` or `column`");
            None
        }
    }
}

fn read_fixed(section: &Section<'_>, fixed: &Item<'_>, columns: &Columns) -> Option<ProductsSpec> {
    let message = "a fixed product has no dictionary";
    section.refuse(
        &["dictionary", "unknown", "default", "add"],
        message,
        "leave it out, or write `column` instead of `fixed`",
    );
    let id = fixed.filled_string()?;
    let products = ProductsSpec::Fixed { id: id.value };
    if let Some(name) = columns.get(products.column_name()).and_then(|column| column.name.as_ref()) {
        let message = "the fixed product adds a column `product`, so no column can be declared with that name";
        section.context.error_help(
            &name.place,
            message,
            "rename the column, or write column = \"product\" in [products]",
        );
    }
    Some(products)
}

fn read_column(section: &Section<'_>, item: &Item<'_>, columns: &Columns) -> Option<ProductsSpec> {
    let column = item.string();
    if let Some(column) = &column {
        check_column(section, column, columns);
    }
    let dictionary = read_dictionary(section, columns);
    Some(ProductsSpec::Column { column: column?.value, dictionary: dictionary? })
}

fn check_column(section: &Section<'_>, reference: &At<String>, columns: &Columns) {
    let context = section.context;
    let Some(column) = columns.find(context, reference) else { return };
    let name = quote(&reference.value);
    if let Some(ty) = column.ty.as_ref().filter(|ty| !matches!(ty, ColumnType::String | ColumnType::LowCardinality)) {
        let message = format!("the product is a string, and column {name} is {}", type_name(ty));
        context.error_help(&reference.place, message, "declare it as string or low_cardinality");
    }
    if column.nullable {
        let message = format!("every record has a product, and column {name} is nullable");
        context.error_help(&reference.place, message, "make it `required`, or give it a `default`");
    }
    if column.mask.is_some() {
        let message = format!("the data is sharded by product, and column {name} is masked");
        context.error_help(&reference.place, message, "take the column's mask away");
    }
}

/// The dictionary: `None` if what is said of it could not be read, `Some(None)` if there is none.
fn read_dictionary(section: &Section<'_>, columns: &Columns) -> Option<Option<DictionarySpec>> {
    let Some(item) = section.item("dictionary") else {
        let message = "there is no dictionary, so every product is known";
        section.refuse(&["unknown", "default", "add"], message, "leave it out, or write dictionary = \"products.csv\"");
        return Some(None);
    };
    let path = item.string().and_then(|path| {
        let resolved = section.context.resolve(&path)?;
        let extension = resolved.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        if !matches!(extension.as_deref(), Some("csv" | "toml")) {
            let message = "a dictionary is a .csv or a .toml file";
            section.context.error_help(&path.place, message, "rename the file to what it holds");
        }
        Some(resolved)
    });
    let unknown = read_unknown(section);
    let add = read_added(section, columns);
    Some(Some(DictionarySpec { path: path?, unknown: unknown?, add: add? }))
}

fn read_unknown(section: &Section<'_>) -> Option<UnknownProduct> {
    const WORDS: [(&str, bool); 2] = [("dead_letter", false), ("default", true)];
    let default = section.item("default").map(|item| (item, item.filled_string()));
    let takes_default = match section.item("unknown") {
        Some(item) => item.one_of(&WORDS)?.value,
        None => false,
    };
    match (takes_default, default) {
        (false, None) => Some(UnknownProduct::DeadLetter),
        (true, Some((_, id))) => Some(UnknownProduct::Default(id?.value)),
        (false, Some((item, _))) => {
            let message = "records of unknown products are dead letters, so there is no default product";
            section.context.error_help(&item.place, message, "write unknown = \"default\", or leave `default` out");
            None
        }
        (true, None) => {
            let place = section.place.missing("default");
            let help = "write default = \"...\", a product of the dictionary";
            section.context.error_help(&place, "unknown = \"default\" needs the default product", help);
            None
        }
    }
}

/// Dictionary columns that are added to the table as `product_<name>`.
fn read_added(section: &Section<'_>, columns: &Columns) -> Option<Vec<String>> {
    let context = section.context;
    let Some(item) = section.item("add") else {
        return Some(Vec::new());
    };
    let mut added: Vec<String> = Vec::new();
    for name in item.strings() {
        check_name(context, &name);
        if added.contains(&name.value) {
            context.error(&name.place, format!("{} is added twice", quote(&name.value)));
            continue;
        }
        let column = format!("product_{}", name.value);
        if let Some(declared) = columns.get(&column).and_then(|column| column.name.as_ref()) {
            let line = context.line(&declared.place);
            let message = format!("this adds a column {}, and one is declared on line {line}", quote(&column));
            context.error_help(&name.place, message, "rename the declared column");
        }
        added.push(name.value);
    }
    Some(added)
}
