//! docs/components.md is what the signatures say. `UPDATE_EXPECT=1` writes it.

use devnet_catalog::{Catalog, page};
use expect_test::expect_file;

#[test]
fn the_page_is_what_the_signatures_say() {
    expect_file!["../../docs/components.md"].assert_eq(&page(&Catalog::builtin()));
}
