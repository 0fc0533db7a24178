//! The interval and the number of keep-alive probes, on the systems that let programs set them.

pub(crate) use system::CAN_SET_PROBES;
pub(super) use system::add;

#[cfg(any(
    windows,
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd"
))]
mod system {
    use std::time::Duration;

    use socket2::TcpKeepalive;

    use crate::settings::SocketOptions;
    use crate::socket::whole_seconds;

    /// On Windows the idle time cannot be set alone: the interval would be zero, and not the default, which is this.
    const INTERVAL_OF_WINDOWS: Duration = Duration::from_secs(1);

    /// The bound of Linux.
    const MAX_COUNT: u32 = 127;

    pub(crate) const CAN_SET_PROBES: bool = true;

    pub(crate) fn add(mut keep_alive: TcpKeepalive, options: &SocketOptions) -> TcpKeepalive {
        let default = cfg!(windows).then_some(INTERVAL_OF_WINDOWS);
        if let Some(interval) = options.keep_alive_interval.or(default) {
            keep_alive = keep_alive.with_interval(whole_seconds(interval));
        }
        if let Some(count) = options.keep_alive_count {
            keep_alive = keep_alive.with_retries(count.min(MAX_COUNT));
        }
        keep_alive
    }
}

#[cfg(not(any(
    windows,
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd"
)))]
mod system {
    use socket2::TcpKeepalive;

    use crate::settings::SocketOptions;

    pub(crate) const CAN_SET_PROBES: bool = false;

    /// The builder has refused the options.
    pub(crate) fn add(keep_alive: TcpKeepalive, _: &SocketOptions) -> TcpKeepalive {
        keep_alive
    }
}
