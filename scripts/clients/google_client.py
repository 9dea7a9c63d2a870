"""Google's own Python client on the fake: list, create, disable, change membership."""
import json
import sys

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

fakes = json.load(open(sys.argv[1]))
directory = build("admin", "directory_v1", credentials=Credentials(fakes["token"]), static_discovery=True,
                  client_options={"api_endpoint": fakes["google"]})
name = {"givenName": "Ada", "familyName": "Lovelace"}
ada = directory.users().insert(
    body={"primaryEmail": "ada@corp.test", "name": name, "password": "Correct-horse-9"}).execute()
assert ada["primaryEmail"] == "ada@corp.test", ada
users = directory.users().list(customer="my_customer").execute()["users"]
assert [it["primaryEmail"] for it in users] == ["ada@corp.test"], users
groups = directory.groups().list(customer="my_customer").execute()["groups"]
group = groups[0]["email"]
members = directory.members()
members.insert(groupKey=group, body={"email": "ada@corp.test", "role": "MEMBER"}).execute()
try:
    members.insert(groupKey=group, body={"email": "ada@corp.test", "role": "MEMBER"}).execute()
    raise AssertionError("a second time must be refused")
except HttpError as error:
    assert error.status_code == 409, error
assert [it["email"] for it in members.list(groupKey=group).execute()["members"]] == ["ada@corp.test"]
members.delete(groupKey=group, memberKey="ada@corp.test").execute()
assert "members" not in members.list(groupKey=group).execute()
directory.users().signOut(userKey="ada@corp.test").execute()
directory.users().update(userKey="ada@corp.test", body={"suspended": True}).execute()
assert directory.users().get(userKey="ada@corp.test").execute()["suspended"] is True
print("google: created, listed, in and out of a group, signed out, suspended")
