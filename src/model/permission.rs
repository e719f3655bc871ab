//! What each verb asks of AWS: the least that a policy must allow. The policies of the guide hold exactly these.

/// A verb, or several that ask for the same, and all that they need of IAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    pub verb: &'static str,
    /// As policies name them: `ec2:ModifyVolume`.
    pub actions: &'static [&'static str],
    /// Whether it changes anything.
    pub changes: bool,
}

const fn reads(verb: &'static str, actions: &'static [&'static str]) -> Permission {
    Permission {
        verb,
        actions,
        changes: false,
    }
}

const fn changes(verb: &'static str, actions: &'static [&'static str]) -> Permission {
    Permission {
        verb,
        actions,
        changes: true,
    }
}

/// The `ssm` driver, whoever uses it.
const BY_SSM: &[&str] = &[
    "ssm:DescribeInstanceInformation",
    "ssm:SendCommand",
    "ssm:ListCommands",
    "ssm:GetCommandInvocation",
];

/// Every verb that asks AWS for something, reads first. What is beside them needs no right: STS GetCallerIdentity.
pub const PERMISSIONS: &[Permission] = &[
    reads(
        "the screens, triage, broker list",
        &[
            "ec2:DescribeInstances",
            "ec2:DescribeInstanceStatus",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeAvailabilityZones",
        ],
    ),
    reads(
        "volume list, logdir list, logdir relieve",
        &[
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:DescribeSnapshots",
            "cloudwatch:GetMetricData",
        ],
    ),
    reads(
        "check run, capture save",
        &[
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:GetEbsEncryptionByDefault",
            "cloudwatch:DescribeAlarms",
        ],
    ),
    reads(
        "dns show",
        &[
            "route53:ListHostedZonesByName",
            "route53:GetHostedZone",
            "route53:ListResourceRecordSets",
        ],
    ),
    changes("restart apply, broker stop, broker start", BY_SSM),
    changes("volume modify", &["ec2:ModifyVolume"]),
    changes("volume modify, volume extend", BY_SSM),
    changes("volume snapshot", &["ec2:CreateSnapshots", "ec2:CreateTags"]),
    changes("recorder --cloudwatch", &["cloudwatch:PutMetricData"]),
    changes("volume create", &["ec2:CreateVolume", "ec2:CreateTags"]),
    changes("volume attach", &["ec2:AttachVolume"]),
    changes("volume detach", &["ec2:DetachVolume"]),
    changes(
        "broker replace",
        &[
            "ec2:DetachVolume",
            "ec2:AttachVolume",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
    ),
    changes(
        "volume encrypt",
        &[
            "ec2:CreateSnapshots",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DetachVolume",
            "ec2:AttachVolume",
        ],
    ),
    changes("broker replace, volume encrypt", BY_SSM),
    changes(
        "dns switch, dns rollback",
        &["route53:ChangeResourceRecordSets", "route53:GetChange"],
    ),
];

/// The verbs that need this; with `changes` those too that change something.
pub fn verbs(action: &str, changes: bool) -> Vec<&'static str> {
    let all = PERMISSIONS.iter().filter(|one| changes || !one.changes);
    all.filter(|one| one.actions.contains(&action))
        .map(|one| one.verb)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_leads_to_the_verbs_that_lack_it() {
        assert_eq!(
            verbs("ec2:CreateTags", true),
            ["volume snapshot", "volume create", "broker replace", "volume encrypt"]
        );
        assert!(verbs("ec2:CreateTags", false).is_empty());
        assert_eq!(verbs("cloudwatch:GetMetricData", false).len(), 1);
    }
}
