//! The smallest program: connects to the domain on the command line, and prints the report.
//!
//! ```text
//! cargo run --example minimal -- example.org
//! ```

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(domain) = std::env::args().nth(1) else {
        return Err("usage: minimal DOMAIN".into());
    };
    let connection = xmpp_connect::connect(domain)?;
    println!("{}", connection.report());
    Ok(())
}
