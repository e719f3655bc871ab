//! GetCallerIdentity: whose credentials these are. It needs no right (STS API reference, GetCallerIdentity).

use crate::model::cloud::Caller;
use crate::source::Error;

use super::Aws;

pub(super) async fn caller(aws: &Aws) -> Result<Caller, Error> {
    let call = aws.clients().await?.sts.get_caller_identity().send();
    let answer = aws.ask("STS", "GetCallerIdentity", call).await?;
    let told = |value: Option<&str>| value.unwrap_or("?").to_owned();
    Ok(Caller {
        account: told(answer.account()),
        arn: told(answer.arn()),
    })
}
