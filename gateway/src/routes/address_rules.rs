//! Which clients a route is for, by their address.

use std::net::IpAddr;

use ipnet::IpNet;

/// A route's `allow` and `deny`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Empty: everybody.
    pub allow: Vec<IpNet>,
    /// Counts before `allow`.
    pub deny: Vec<IpNet>,
}

impl AddressRules {
    /// Whether there is a rule at all.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a client at `address` may pass.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_denied_stays_out_and_who_is_allowed_comes_in() {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let allows = |rules: &AddressRules, address: &str| rules.allows(address.parse().unwrap());
        let rules = AddressRules {
            allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            deny: networks(&["10.1.0.0/16"]),
        };
        assert!(
            allows(&rules, "10.2.0.1") && allows(&rules, "::ffff:10.2.0.1") && allows(&rules, "2001:db8::1")
        );
        assert!(!allows(&rules, "10.1.0.1") && !allows(&rules, "192.0.2.1") && !allows(&rules, "::1"));
        let only_deny = AddressRules {
            deny: networks(&["192.0.2.1/32"]),
            ..AddressRules::default()
        };
        assert!(
            !allows(&only_deny, "192.0.2.1") && allows(&only_deny, "192.0.2.2") && allows(&only_deny, "::1")
        );
        assert!(AddressRules::default().is_empty() && allows(&AddressRules::default(), "::1"));
    }
}
