//! Registers the schema that the queries are checked against at compile time.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    cynic_codegen::register_schema("spacelift").from_sdl_file("schema/spacelift.graphql")?.as_default()?;
    Ok(())
}
