"""Okta's own Python client on the fake: list, create, disable, change membership."""
import asyncio
import json
import os
import sys

os.environ["OKTA_TESTING_TESTINGDISABLEHTTPSCHECK"] = "true"
import okta.models as models  # noqa: E402
from okta.client import Client  # noqa: E402

fakes = json.load(open(sys.argv[1]))


def good(answer):
    """The result of a call; its error ends the program."""
    *result, error = answer
    assert error is None, error
    return result[0] if result else None


async def main():
    client = Client({"orgUrl": fakes["okta"], "token": fakes["token"]})
    profile = models.UserProfile(first_name="Ada", last_name="Lovelace", email="ada@corp.test", login="ada@corp.test")
    password = models.UserCredentialsWritable(password=models.PasswordCredential(value="Correct-horse-9"))
    ada = good(await client.create_user(models.CreateUserRequest(profile=profile, credentials=password)))
    assert ada.status == models.UserStatus.ACTIVE, ada.status
    assert [it.profile.login for it in good(await client.list_users(limit=1))] == ["ada@corp.test"]
    assert len(good(await client.list_groups())) == 4
    good(await client.assign_user_to_group("00gstaff", ada.id))
    assert [it.id for it in good(await client.list_group_users("00gstaff"))] == [ada.id]
    good(await client.unassign_user_from_group("00gstaff", ada.id))
    assert good(await client.list_group_users("00gstaff")) == []
    good(await client.suspend_user(ada.id))
    assert good(await client.get_user(ada.id)).status == models.UserStatus.SUSPENDED
    missing = await client.get_user("00unobody")
    assert missing[-1] is not None and "E0000007" in str(missing[-1]), missing
    print("okta: created, listed, in and out of a group, suspended")


asyncio.run(main())
