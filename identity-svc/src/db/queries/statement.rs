//! Statements in PostgreSQL's own words: where diesel has none of its own, and for hot updates. diesel never keeps an
//! UPDATE prepared, which costs the server a parse and a plan each time; these are prepared once for each connection.

use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Text};

/// SQL with `$1`, `$2`, .. left out: a value stands between each two parts. `ST` is the type of its rows.
pub struct Statement<'a, ST> {
    parts: &'static [&'static str],
    values: Vec<Value<'a>>,
    rows: PhantomData<ST>,
}

#[derive(Clone, Copy)]
pub enum Value<'a> {
    Text(&'a str),
    BigInt(i64),
    BigInts(&'a [i64]),
}

impl<'a, ST> Statement<'a, ST> {
    /// The text must be constant, so that the number of prepared statements is bounded.
    pub fn new(parts: &'static [&'static str], values: Vec<Value<'a>>) -> Self {
        Self {
            parts,
            values,
            rows: PhantomData,
        }
    }
}

impl<ST> QueryFragment<Pg> for Statement<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for part in self.parts {
            out.push_sql(part);
            match values.next() {
                Some(Value::Text(value)) => out.push_bind_param::<Text, _>(*value)?,
                Some(Value::BigInt(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Some(Value::BigInts(value)) => out.push_bind_param::<Array<BigInt>, _>(*value)?,
                None => {}
            }
        }
        Ok(())
    }
}

/// The text is the key under which it is kept.
impl<ST> QueryId for Statement<'_, ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<'_, ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<diesel::PgConnection> for Statement<'_, ST> {}
