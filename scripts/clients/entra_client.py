"""Microsoft's own Python client on the fake: list, create, disable, change membership."""
import asyncio
import json
import sys

from azure.core.credentials import AccessToken
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.password_profile import PasswordProfile
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.user import User

fakes = json.load(open(sys.argv[1]))


class Token:
    """A token that is there already."""

    def get_token(self, *_, **__):
        return AccessToken(fakes["token"], 2**31)


async def main():
    # The client sends its token only to hosts that it is told, and only by https unless they are local.
    provider = AzureIdentityAuthenticationProvider(Token(), allowed_hosts=["127.0.0.1"], is_cae_enabled=False)
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = fakes["entra"]
    graph = GraphServiceClient(request_adapter=adapter)
    profile = PasswordProfile(force_change_password_next_sign_in=True, password="Correct-horse-9")
    ada = await graph.users.post(User(account_enabled=True, display_name="Ada", mail_nickname="ada",
                                      user_principal_name="ada@corp.test", password_profile=profile))
    assert ada.id and ada.display_name == "Ada"
    assert [it.user_principal_name for it in (await graph.users.get()).value] == ["ada@corp.test"]
    assert len((await graph.groups.get()).value) == 3
    link = ReferenceCreate(odata_id=f"https://graph.microsoft.com/v1.0/directoryObjects/{ada.id}")
    members = graph.groups.by_group_id("group-staff").members
    await members.ref.post(link)
    assert [it.id for it in (await members.get()).value] == [ada.id]
    try:
        await members.ref.post(link)
        raise AssertionError("a second time must be refused")
    except ODataError as error:
        assert error.response_status_code == 400, error
    await members.by_directory_object_id(ada.id).ref.delete()
    assert (await members.get()).value == []
    await graph.users.by_user_id(ada.id).patch(User(account_enabled=False))
    done = await graph.users.by_user_id(ada.id).revoke_sign_in_sessions.post()
    assert done.value is True
    await graph.users.by_user_id(ada.id).delete()
    print("entra: created, listed, in and out of a group, blocked, signed out, deleted")


asyncio.run(main())
