"""Long searches over many seeds, on whatever runs functions elsewhere: `campaign`."""

from fakecluster.campaigns.campaign import CampaignBroken, campaign
from fakecluster.campaigns.outcome import CampaignResult, Outcome

__all__ = ["CampaignBroken", "CampaignResult", "Outcome", "campaign"]
