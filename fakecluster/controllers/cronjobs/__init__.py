"""The CronJob controller: a Job whenever the schedule says so."""

from fakecluster.controllers.cronjobs.controller import DUTY

__all__ = ["DUTY"]
