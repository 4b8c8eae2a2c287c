"""Refusals of what a ceremony, an activation, a freeze or a grant brings."""

from __future__ import annotations

from .table import COARSE_EXPIRED, COARSE_STATE, COARSE_UNPROVEN, COARSE_UNTRUSTED, refusal_code

# Ceremony and activation: what the host brought does not fit together.
OTHER_NETWORK = refusal_code(
    "other-network", COARSE_UNPROVEN, "It is meant for another Bitcoin network than this appliance was started for."
)
NOT_IN_QUORUM = refusal_code(
    "not-in-quorum",
    COARSE_UNPROVEN,
    "The envelope's key is none of the three in this quorum. Do not go on; call the others.",
)
QUORUM_UNUSABLE = refusal_code(
    "quorum-unusable",
    COARSE_UNPROVEN,
    "No script can be made of the three keys of this quorum. Do not go on; have the quorum formed again.",
)
ENVELOPE_UNUSABLE = refusal_code(
    "envelope-unusable",
    COARSE_UNPROVEN,
    "This envelope does not belong here. Ask the operator for yours, for this quorum; else use your key card.",
)
POLICY_OTHER_QUORUM = refusal_code(
    "policy-other-quorum",
    COARSE_UNPROVEN,
    "The policy was written for another quorum. Ask the operator for the right one.",
)
APPROVALS_INSUFFICIENT = refusal_code(
    "approvals-insufficient",
    COARSE_UNPROVEN,
    "Two different owners must have approved exactly this policy (one, if it only tightens the one before it). Ask "
    "which approvals are missing.",
)
POLICY_LINEAGE = refusal_code(
    "policy-lineage",
    COARSE_UNPROVEN,
    "The policies that were brought do not lead from one to the next. Ask the operator for all of them, in order.",
)
POLICY_TOO_YOUNG = refusal_code(
    "policy-too-young",
    COARSE_UNPROVEN,
    "It loosens a rule, and has not waited long enough since its second approval. Activate with the policy before.",
)
POLICY_OLDER = refusal_code(
    "policy-older",
    COARSE_UNPROVEN,
    "A newer policy was in force here already. Ask the operator why an older one comes back; activate with the newest.",
)
POLICY_REPLACES = refusal_code(
    "policy-replaces",
    COARSE_STATE,
    "It does not replace the policy that is in force here. Have it proposed anew, or activate with the newest policy.",
)
POLICY_UNDATED = refusal_code(
    "policy-undated",
    COARSE_STATE,
    "This appliance does not know the time, and an approval must tell it. Activate first, then approve.",
)
POLICY_UNUSABLE = refusal_code(
    "policy-unusable",
    COARSE_UNPROVEN,
    "A rule of this policy can be applied to nothing on this network. Do not approve it; have it written again.",
)
SECOND_KEY = refusal_code(
    "second-key",
    COARSE_UNPROVEN,
    "This appliance has held another owner's key of this quorum. Use your own; or switch this one off and on first.",
)
LOG_SEAL = refusal_code(
    "log-seal",
    COARSE_UNPROVEN,
    "The log's last position was not signed by this key. Ask the operator for the last seal of this appliance.",
)
FREEZE_OLD = refusal_code(
    "freeze-old",
    COARSE_EXPIRED,
    "The freeze order is older than this activation, which was begun in spite of it. To stop, type: lock",
)
FREEZE_UNTRUSTED = refusal_code(
    "freeze-untrusted", COARSE_UNTRUSTED, "The freeze order is by nobody of this quorum. To stop, type: lock"
)

# Grants: who may arm whom.
GRANT_UNTRUSTED = refusal_code(
    "grant-untrusted", COARSE_UNTRUSTED, "It is not signed by an owner of this quorum. Do not go on; call the others."
)
GRANT_SAME_OWNER = refusal_code(
    "grant-same-owner", COARSE_UNPROVEN, "Nobody arms their own appliance. Another owner must grant this."
)
GRANT_SAME_SITE = refusal_code(
    "grant-same-site", COARSE_UNPROVEN, "Both appliances are at the same site. One owner must go to another site."
)
GRANT_OTHER_POLICY = refusal_code(
    "grant-other-policy",
    COARSE_UNPROVEN,
    "The two appliances have different rules. Activate both with the same policy.",
)
GRANT_OTHER_FIRMWARE = refusal_code(
    "grant-other-firmware",
    COARSE_UNPROVEN,
    "The two appliances run different software. Start both from the same card image.",
)
GRANT_OTHER_ACTIVATION = refusal_code(
    "grant-other-activation", COARSE_UNPROVEN, "The grant is for another activation. Ask the other owner for a new one."
)
GRANT_OTHER_GRANTEE = refusal_code(
    "grant-other-grantee",
    COARSE_UNPROVEN,
    "The grant is for another owner's appliance. Ask for one for this appliance.",
)
GRANT_LIFE = refusal_code(
    "grant-life",
    COARSE_UNPROVEN,
    "It asks for a longer life than the policy allows. Do not go on; call the other owner.",
)
