//! What happens on the wire: YAML in, a real controller and a real gateway in process, bytes out.

mod http;
