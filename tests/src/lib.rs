//! What the scenarios stand on: the lab of real machines, the sample application and the load.
//!
//! `README.md` beside this maps the tests. Nothing of the product is in here.

pub mod desk;
pub mod http;
pub mod lab;
pub mod load;
pub mod stage;
